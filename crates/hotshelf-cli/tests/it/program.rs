//! Runs the program.

use std::process::{Command, Output, Stdio};

use hotshelf::{Cache, Store};
use hotshelf_testkit::RedisServer;
use serde_json::Value;

/// What a run has written, and its exit code.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Run {
    /// Returns the JSON that was written.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.output).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// Runs the program on a server.
pub(crate) fn run(server: &RedisServer, arguments: &[&str]) -> Run {
    run_with(&[("REDIS_URL", &server.url())], arguments)
}

/// Runs the program on a server, and returns its JSON.
pub(crate) fn json(server: &RedisServer, arguments: &[&str]) -> Value {
    let run = run(server, &[arguments, &["--json"]].concat());
    assert_eq!(run.code, 0, "{run:?}");
    run.json()
}

/// Runs the program with these variables, without input.
pub(crate) fn run_with(variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    let mut program = Command::new(env!("CARGO_BIN_EXE_hotshelf"));
    program.args(arguments).stdin(Stdio::null()).env_remove("REDIS_URL").env_remove("NO_COLOR");
    let Output { status, stdout, stderr } =
        program.envs(variables.iter().copied()).output().unwrap();
    Run {
        code: status.code().unwrap_or(-1),
        output: String::from_utf8(stdout).unwrap(),
        errors: String::from_utf8(stderr).unwrap(),
    }
}

/// Returns a cache `shop:v1:products`, with its store.
pub(crate) async fn products(server: &RedisServer) -> (Store, Cache<String>) {
    let store = Store::connect(&server.url()).await.unwrap();
    let cache = store.cache("products").prefix("shop").build().unwrap();
    (store, cache)
}

/// Starts a server with three products, two of which have the tag `lamps`.
pub(crate) async fn filled() -> RedisServer {
    let server = RedisServer::start().unwrap();
    let (store, cache) = products(&server).await;
    for key in ["1", "2"] {
        assert!(cache.entry(key).tags(["lamps"]).insert(format!("lamp {key}")).await);
    }
    assert!(cache.insert("3", "table".to_owned()).await);
    store.close().await;
    server
}
