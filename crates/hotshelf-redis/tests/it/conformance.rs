//! The suite that every backend runs, over each way to a server.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::{Backend, BoxFuture, Runtime};
use hotshelf_redis::RedisBackend;
use hotshelf_testkit::conformance::{Check, Subject};
use hotshelf_testkit::{RedisServer, Reply};

use crate::support;

mod over_tcp {
    hotshelf_testkit::conformance_suite!(run);

    fn run(check: super::Check) {
        let server = crate::support::server();
        super::run(check, server.url(), server);
    }
}

mod over_a_unix_socket {
    hotshelf_testkit::conformance_suite!(run);

    fn run(check: super::Check) {
        let server = crate::support::server();
        super::run(check, format!("unix://{}", server.socket()), server);
    }
}

/// As against a server that knows no `HELLO`.
mod by_resp2 {
    hotshelf_testkit::conformance_suite!(run);

    fn run(check: super::Check) {
        let server = super::RedisServer::start_with(&["--rename-command", "HELLO", ""]).unwrap();
        super::run(check, server.url(), server);
    }
}

mod as_a_user_with_a_password {
    hotshelf_testkit::conformance_suite!(run);

    fn run(check: super::Check) {
        let server = crate::support::server();
        server.command(&["ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all"]);
        super::run(check, server.url().replace("redis://", "redis://app:secret@"), server);
    }
}

fn run(check: Check, url: String, server: RedisServer) {
    let backend = support::backend(&url);
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
