//! The suite that every backend runs.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::{Backend, BoxFuture, Runtime};
use hotshelf_redis::RedisBackend;
use hotshelf_testkit::conformance::{Check, Subject};
use hotshelf_testkit::{RedisServer, Reply};

use crate::support;

hotshelf_testkit::conformance_suite!(run);

fn run(check: Check) {
    let server = support::server();
    let backend = support::backend(&server.url());
    let subject = Redis { backend, runtime: support::runtime(), server };
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(check(&subject));
}

struct Redis {
    backend: RedisBackend,
    runtime: Arc<dyn Runtime>,
    server: RedisServer,
}

impl Subject for Redis {
    fn backend(&self) -> &dyn Backend {
        &self.backend
    }

    fn runtime(&self) -> &dyn Runtime {
        &*self.runtime
    }

    /// Takes the time that passes off what every key has left to live.
    fn pass(&self, duration: Duration) -> BoxFuture<'_, ()> {
        let Reply::Array(keys) = self.server.command(&["KEYS", "*"]) else { panic!("no keys") };
        for key in keys.iter().map(Reply::to_text) {
            let Reply::Integer(left) = self.server.command(&["PTTL", &key]) else {
                panic!("no TTL")
            };
            let left = left - duration.as_millis() as i64;
            self.server.command(&["PEXPIRE", &key, &left.to_string()]);
        }
        Box::pin(std::future::ready(()))
    }
}
