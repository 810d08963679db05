//! Servers that are away, go away, stop answering and forget.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::backend::{Acquire, Acquired, Seen, Token};
use hotshelf_core::{Backend, ErrorKind, Pattern};
use hotshelf_testkit::RedisServer;

use crate::support;

#[tokio::test]
async fn an_absent_server_fails_at_once() {
    support::fails_at_once(&support::backend(&support::dead_url())).await;
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
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
async fn a_server_that_stops_answering_costs_a_few_deadlines() {
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
    assert_eq!(timeouts, 3, "after three timeouts in a row the connection is given up");

    server.resume();
    support::ping_until_back(&backend).await;
}

#[tokio::test]
async fn scripts_are_sent_again_when_the_server_forgets_them() {
    let server = support::server();
    let backend = support::backend(&server.url());
    for number in 0..3 {
        let key = format!("k{number}").as_str().into();
        let token = Token::random(&*support::runtime());
        let (lease, seen) = (Duration::from_secs(5), Seen::Nothing);
        let acquire = Acquire { key: &key, token, lease, seen, skip_foreign: true };
        assert!(matches!(backend.acquire(acquire).await.unwrap(), Acquired::Granted(_)));
        server.command(&["SCRIPT", "FLUSH"]);
    }
}

#[tokio::test]
async fn a_key_of_another_type_is_an_error_of_the_server() {
    let server = support::server();
    let backend = support::backend(&server.url());
    server.command(&["LPUSH", "k", "x"]);
    assert_eq!(backend.read(&["k".into()]).await.unwrap_err().kind(), ErrorKind::WrongType);
    backend.ping().await.unwrap();
}

#[tokio::test]
async fn a_walk_over_many_keys_takes_bounded_steps() {
    let server = support::server();
    let fill = "for i = 1, 20000 do redis.call('SET', ARGV[1] .. i, 1) end";
    server.command(&["EVAL", fill, "0", "cache:v1:a:"]);
    server.command(&["EVAL", fill, "0", "cache:v1:b:"]);
    let backend = support::backend(&server.url());
    let removed = backend.invalidate_matching(&Pattern::new("cache:v1:a:*")).await.unwrap();
    assert_eq!(removed, 20_000);
    assert_eq!(server.cli(&["DBSIZE"]), "20000");
    // 40 steps for each of the two walks, a removal after half of those of the second.
    let calls = server.cli(&["INFO", "commandstats"]);
    assert!(calls.contains("cmdstat_scan:calls=8"), "{calls}");
}

#[test]
fn a_backend_outlives_the_async_runtime_that_it_connected_in() {
    let server = support::server();
    let backend = support::backend(&server.url());
    for _ in 0..3 {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(support::ping_until_back(&backend));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_during_the_first_connection_is_for_good() {
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
async fn a_closed_backend_leaves_no_connection_behind() {
    let server = support::server();
    let backend = support::backend(&server.url());
    backend.ping().await.unwrap();
    backend.close().await;
    assert_eq!(backend.ping().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_only_our_own_connection(&server).await;
}

/// What is under way is answered; what comes later is not sent.
#[tokio::test]
async fn a_close_waits_for_what_is_under_way() {
    let server = support::server();
    let proxy = hotshelf_testkit::Proxy::start(server.port()).unwrap();
    let backend = support::backend_with(support::patient(&proxy.url()));
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
    assert_only_our_own_connection(&server).await;
}

/// Nothing says that a frozen server has gone.
#[tokio::test]
async fn a_close_waits_no_longer_than_the_last_deadline() {
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
    support::until("no task is left", async || {
        (tokio::runtime::Handle::current().metrics().num_alive_tasks() == 0).then_some(())
    })
    .await;
    server.resume();
}

/// Of a script that is refused half-way, what it has done stays done.
#[tokio::test]
async fn a_lease_is_granted_wholly_or_not_at_all() {
    let server = support::server();
    server.command(&["ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-time"]);
    let backend = support::backend(&server.url().replace("redis://", "redis://app:secret@"));
    let acquire = Acquire {
        key: &"k".into(),
        token: Token::random(&*support::runtime()),
        lease: Duration::from_secs(5),
        seen: Seen::Nothing,
        skip_foreign: true,
    };
    backend.acquire(acquire).await.unwrap_err();
    assert_eq!(server.cli(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn a_walk_goes_on_when_its_connection_was_lost() {
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

/// A cursor means nothing to another server in the same place.
#[tokio::test]
async fn a_walk_begins_anew_on_a_server_that_was_restarted() {
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
async fn a_dropped_backend_leaves_no_connection_behind() {
    let server = support::server();
    let backend = support::backend(&server.url());
    backend.ping().await.unwrap();
    drop(backend);
    assert_only_our_own_connection(&server).await;
}

/// The connection that asks is the only one left, as soon as the tasks have ended.
async fn assert_only_our_own_connection(server: &RedisServer) {
    let start = support::now();
    while server.cli(&["CLIENT", "LIST"]).lines().count() > 1 {
        assert!(start.elapsed() < Duration::from_secs(5), "a connection was left behind");
        tokio::task::yield_now().await;
    }
}
