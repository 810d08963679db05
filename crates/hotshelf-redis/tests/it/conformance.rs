//! The conformance suite of all backends, over each kind of connection and topology.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::{Backend, BoxFuture, Runtime};
use hotshelf_redis::{RedisBackend, RedisOptions};
use hotshelf_testkit::conformance::{CHECKS, Check, Subject};
use hotshelf_testkit::{RedisCluster, RedisSentinels, RedisServer, Reply, valkey_server};

use crate::support;

mod over_tcp {
    hotshelf_testkit::conformance_suite!(run);

    fn run(check: super::Check) {
        let server = crate::support::server();
        super::run_at(check, &server.url(), &[&server]);
    }
}

mod over_unix_socket {
    hotshelf_testkit::conformance_suite!(run);

    fn run(check: super::Check) {
        let server = crate::support::server();
        super::run_at(check, &format!("unix://{}", server.socket()), &[&server]);
    }
}

/// A server without `HELLO` forces RESP2.
mod over_resp2 {
    hotshelf_testkit::conformance_suite!(run);

    fn run(check: super::Check) {
        let server = super::RedisServer::start_with(&["--rename-command", "HELLO", ""]).unwrap();
        super::run_at(check, &server.url(), &[&server]);
    }
}

mod as_acl_user {
    hotshelf_testkit::conformance_suite!(run);

    fn run(check: super::Check) {
        let server = crate::support::server();
        server.command(&["ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all"]);
        let url = server.url().replace("redis://", "redis://app:secret@");
        super::run_at(check, &url, &[&server]);
    }
}

/// The checks share one deployment: starting one for each would take minutes.
#[test]
fn suite_passes_behind_sentinels() {
    let sentinels = RedisSentinels::start().unwrap();
    for (name, check) in CHECKS {
        eprintln!("{name}");
        sentinels.primary().command(&["FLUSHALL"]);
        run_at(*check, &sentinels.url(), &[sentinels.primary()]);
    }
}

#[test]
fn suite_passes_on_cluster() {
    run_all_on(&RedisCluster::start().unwrap());
}

/// Printed if the machine lacks Valkey.
const NO_VALKEY: &str = "skipped: valkey-server not found. Install it with scripts/install-tools";

#[test]
fn suite_passes_on_valkey() {
    let Some(program) = valkey_server() else { return eprintln!("{NO_VALKEY}") };
    let server = RedisServer::start_program(program, &[]).unwrap();
    for (name, check) in CHECKS {
        eprintln!("{name}");
        server.command(&["FLUSHALL"]);
        run_at(*check, &server.url(), &[&server]);
    }
}

#[test]
fn suite_passes_on_valkey_cluster() {
    let Some(program) = valkey_server() else { return eprintln!("{NO_VALKEY}") };
    run_all_on(&RedisCluster::start_program(program).unwrap());
}

#[expect(clippy::print_stderr, reason = "names the failing check")]
fn run_all_on(cluster: &RedisCluster) {
    let primaries: Vec<_> =
        cluster.primaries().into_iter().map(|index| cluster.node(index)).collect();
    for (name, check) in CHECKS {
        eprintln!("{name}");
        cluster.command_all(&["FLUSHALL"]);
        run_at(*check, &cluster.url(), &primaries);
    }
}

fn run_at(check: Check, url: &str, primaries: &[&RedisServer]) {
    run(check, RedisOptions::from_url(url).unwrap(), primaries);
}

pub(crate) fn run(check: Check, options: RedisOptions, primaries: &[&RedisServer]) {
    let backend = support::backend_with(support::with_long_timeouts(options));
    let subject = Redis { backend, runtime: support::runtime(), primaries };
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(check(&subject));
}

struct Redis<'a> {
    backend: RedisBackend,
    runtime: Arc<dyn Runtime>,
    primaries: &'a [&'a RedisServer],
}

impl Subject for Redis<'_> {
    fn backend(&self) -> &dyn Backend {
        &self.backend
    }

    fn runtime(&self) -> &dyn Runtime {
        &*self.runtime
    }

    /// Shortens the time to live of every key by the time that passes.
    fn pass(&self, duration: Duration) -> BoxFuture<'_, ()> {
        for server in self.primaries {
            let Reply::Array(keys) = server.command(&["KEYS", "*"]) else { panic!("no keys") };
            for key in keys.iter().map(Reply::to_text) {
                let Reply::Integer(left) = server.command(&["PTTL", &key]) else {
                    panic!("no TTL")
                };
                let left = left - duration.as_millis() as i64;
                server.command(&["PEXPIRE", &key, &left.to_string()]);
            }
        }
        Box::pin(std::future::ready(()))
    }
}
