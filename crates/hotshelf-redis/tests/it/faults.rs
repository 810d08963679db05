//! Servers that are unreachable, fail, stop responding or lose their data.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::backend::{Acquire, Acquired, Seen, Token};
use hotshelf_core::{Backend, ErrorKind, Pattern};
use hotshelf_testkit::RedisServer;

use crate::support;

#[tokio::test]
async fn unreachable_server_fails_at_once() {
    support::assert_fails_at_once(&support::backend(&support::unreachable_url())).await;
}

#[tokio::test]
async fn restarted_server_is_used_again() {
    let mut server = support::server();
    let backend = support::backend(&server.url());
    backend.ping().await.unwrap();
    server.kill();
    let error = loop {
        if let Err(error) = backend.ping().await {
            break error;
        }
    };
    assert!(error.is_temporary(), "{error:?}");
    server.restart().unwrap();
    support::ping_until_back(&backend).await;
}

#[tokio::test]
async fn unresponsive_server_costs_few_deadlines() {
    let server = support::server();
    let backend = support::backend(&server.url());
    backend.ping().await.unwrap();
    server.pause();

    let start = support::now();
    let mut kinds = Vec::new();
    for _ in 0..50 {
        kinds.push(backend.read(&["k".into()]).await.unwrap_err().kind());
    }
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_millis(600), "50 reads took {elapsed:?}");
    let timeouts = kinds.iter().filter(|kind| **kind == ErrorKind::Timeout).count();
    assert_eq!(timeouts, 3, "after three timeouts in a row the connection is closed");

    server.resume();
    support::ping_until_back(&backend).await;
}

#[tokio::test]
async fn flushed_scripts_are_sent_again() {
    let server = support::server();
    let backend = support::backend(&server.url());
    for number in 0..3 {
        let key = format!("k{number}").as_str().into();
        let token = Token::random(&*support::runtime());
        let (lease, seen) = (Duration::from_secs(5), Seen::Nothing);
        let acquire =
            Acquire { key: &key, token, lease, seen, skip_foreign: true, replace_failure: false };
        assert!(matches!(backend.acquire(acquire).await.unwrap(), Acquired::Granted(_)));
        server.command(&["SCRIPT", "FLUSH"]);
    }
}

#[tokio::test]
async fn wrong_type_is_a_server_error() {
    let server = support::server();
    let backend = support::backend(&server.url());
    server.command(&["LPUSH", "k", "x"]);
    assert_eq!(backend.read(&["k".into()]).await.unwrap_err().kind(), ErrorKind::WrongType);
    backend.ping().await.unwrap();
}

#[tokio::test]
async fn scan_takes_bounded_steps() {
    let server = support::server();
    let fill = "for i = 1, 20000 do redis.call('SET', ARGV[1] .. i, 1) end";
    server.command(&["EVAL", fill, "0", "cache:v1:a:"]);
    server.command(&["EVAL", fill, "0", "cache:v1:b:"]);
    let backend = support::backend(&server.url());
    let removed = backend.invalidate_matching(&Pattern::new("cache:v1:a:*")).await.unwrap();
    assert_eq!(removed, 20_000);
    assert_eq!(server.cli(&["DBSIZE"]), "20000");
    // 40 steps for each of the two scans, a removal after half of those of the second.
    let calls = server.cli(&["INFO", "commandstats"]);
    assert!(calls.contains("cmdstat_scan:calls=8"), "{calls}");
}

#[test]
fn backend_outlives_its_async_runtime() {
    let server = support::server();
    let backend = support::backend(&server.url());
    for _ in 0..3 {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(support::ping_until_back(&backend));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_while_connecting_is_final() {
    let server = support::server();
    for round in 0..300_u64 {
        let backend = Arc::new(support::backend(&server.url()));
        let pinging = Arc::clone(&backend);
        let ping = tokio::spawn(async move { pinging.ping().await });
        let start = support::now();
        while start.elapsed() < Duration::from_micros(20 * (round % 100)) {
            tokio::task::yield_now().await;
        }
        backend.close().await;
        let _either_way = ping.await.unwrap();
        assert_eq!(backend.ping().await.unwrap_err().kind(), ErrorKind::Closed, "{round}");
    }
}

#[tokio::test]
async fn close_leaves_no_connection() {
    let server = support::server();
    let backend = support::backend(&server.url());
    backend.ping().await.unwrap();
    backend.close().await;
    assert_eq!(backend.ping().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_no_connection_is_left(&server).await;
}

/// Calls in flight are answered; later ones are not sent.
#[tokio::test]
async fn close_waits_for_calls_in_flight() {
    let server = support::server();
    let proxy = hotshelf_testkit::Proxy::start(server.port()).unwrap();
    let backend = support::backend_with(support::long_timeouts(&proxy.url()));
    backend.client().set("k", "v").await.unwrap();
    let slow = hotshelf_testkit::Conditions::default().delay(Duration::from_millis(40));
    proxy.set_both(slow);
    let reads = futures_util::future::join_all((0..20).map(|_| backend.client().get("k")));
    let close = async {
        support::pause(Duration::from_millis(20)).await;
        backend.close().await;
        assert_eq!(backend.ping().await.unwrap_err().kind(), ErrorKind::Closed);
    };
    let (reads, ()) = futures_util::future::join(reads, close).await;
    assert!(reads.into_iter().all(|read| read.unwrap().unwrap() == "v"));
    assert_no_connection_is_left(&server).await;
}

/// A frozen server keeps its connections open.
#[tokio::test]
async fn close_waits_until_last_deadline() {
    let server = support::server();
    let backend = support::backend(&server.url());
    backend.ping().await.unwrap();
    server.pause();
    let read = backend.client().get("k");
    let close = async {
        tokio::task::yield_now().await;
        backend.close().await;
    };
    let (read, ()) = futures_util::future::join(read, close).await;
    assert!(read.unwrap_err().is_timeout());
    support::until("all tasks to end", async || {
        (tokio::runtime::Handle::current().metrics().num_alive_tasks() == 0).then_some(())
    })
    .await;
    server.resume();
}

/// The effects of a script that fails half-way are not undone.
#[tokio::test]
async fn denied_acquire_leaves_no_lease() {
    let server = support::server();
    server.command(&["ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-time"]);
    let backend = support::backend(&server.url().replace("redis://", "redis://app:secret@"));
    let acquire = Acquire {
        key: &"k".into(),
        token: Token::random(&*support::runtime()),
        lease: Duration::from_secs(5),
        seen: Seen::Nothing,
        skip_foreign: true,
        replace_failure: false,
    };
    backend.acquire(acquire).await.unwrap_err();
    assert_eq!(server.cli(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn scan_continues_after_lost_connection() {
    let server = support::server();
    let fill = "for i = 1, 5000 do redis.call('SET', 'k' .. i, 1) end";
    server.command(&["EVAL", fill, "0"]);
    let backend = support::backend(&server.url());
    let mut scan = backend.client().scan("k*");
    let mut found = std::collections::BTreeSet::new();
    for step in 0.. {
        match scan.next_keys().await {
            Ok(Some(keys)) => found.extend(keys),
            Ok(None) => break,
            Err(error) => assert!(error.is_temporary(), "{error}"),
        }
        if step < 3 {
            server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
            support::ping_until_back(&backend).await;
        }
    }
    assert_eq!(found.len(), 5000);
}

/// A cursor is invalid on another server at the same address.
#[tokio::test]
async fn scan_restarts_on_restarted_server() {
    let mut server = support::server();
    let fill = |server: &RedisServer| {
        let fill = "for i = 1, 5000 do redis.call('SET', 'k' .. i, 1) end";
        server.command(&["EVAL", fill, "0"]);
    };
    fill(&server);
    let backend = support::backend(&server.url());
    let mut scan = backend.client().scan("k*");
    for _ in 0..3 {
        scan.next_keys().await.unwrap().unwrap();
    }
    server.restart().unwrap();
    fill(&server);
    support::ping_until_back(&backend).await;
    let mut found = std::collections::BTreeSet::new();
    while let Some(keys) = scan.next_keys().await.unwrap() {
        found.extend(keys);
    }
    assert_eq!(found.len(), 5000);
}

#[tokio::test]
async fn dropped_backend_leaves_no_connection() {
    let server = support::server();
    let backend = support::backend(&server.url());
    backend.ping().await.unwrap();
    drop(backend);
    assert_no_connection_is_left(&server).await;
}

/// Asserts that only the connection of `CLIENT LIST` itself is left once all tasks have ended.
async fn assert_no_connection_is_left(server: &RedisServer) {
    let start = support::now();
    while server.cli(&["CLIENT", "LIST"]).lines().count() > 1 {
        assert!(start.elapsed() < Duration::from_secs(5), "a connection is left");
        tokio::task::yield_now().await;
    }
}
