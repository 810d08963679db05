//! The path of a Valkey server.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The path used by `scripts/install-tools`.
const INSTALLED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/python/bin/valkey-server");

/// Returns a Valkey server to start as a [`RedisServer`](crate::RedisServer): the one that
/// `scripts/install-tools` has installed, or else the machine's own. Returns `None` if neither
/// runs.
#[must_use]
pub fn valkey_server() -> Option<PathBuf> {
    let runs = |program: &PathBuf| {
        let mut version = Command::new(program);
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    [INSTALLED, "valkey-server"].map(PathBuf::from).into_iter().find(runs)
}
