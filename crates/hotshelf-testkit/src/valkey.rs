//! Where Valkey is.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where `scripts/install-tools` puts it.
const INSTALLED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/python/bin/valkey-server");

/// Gives the program to start [`RedisServer`](crate::RedisServer) with for a Valkey: the one
/// that `scripts/install-tools` has installed, or else the machine's own. `None` if there is
/// neither, or none that runs.
#[must_use]
pub fn valkey_server() -> Option<PathBuf> {
    let runs = |program: &PathBuf| {
        let mut version = Command::new(program);
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    [INSTALLED, "valkey-server"].map(PathBuf::from).into_iter().find(runs)
}
