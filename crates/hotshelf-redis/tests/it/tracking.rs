//! Changes reported by the servers wake waiting callers.

use std::time::Duration;

use futures_util::FutureExt;
use hotshelf_core::backend::{Acquire, Acquired, Fill, Seen, Stored, Token};
use hotshelf_core::{Backend, Ttl, WireKey};
use hotshelf_redis::{RedisBackend, RedisOptions, Tracking};
use hotshelf_testkit::{RedisCluster, RedisServer};

use crate::support;

/// Waits until a change is reported, for at most 30 seconds.
async fn woken(mut watch: hotshelf_core::backend::Watch) {
    support::until("a change", async || (&mut watch).now_or_never()).await;
}

async fn acquire(backend: &RedisBackend, key: &WireKey) -> (Token, Acquired) {
    let token = Token::random(&*support::runtime());
    let (lease, seen) = (Duration::from_secs(5), Seen::Nothing);
    let acquire = Acquire { key, token, lease, seen, skip_foreign: false, replace_failure: false };
    (token, backend.acquire(acquire).await.unwrap())
}

async fn store(backend: &RedisBackend, key: &WireKey, token: Token) {
    let ttl = Ttl::new(Duration::from_secs(60)).unwrap();
    let fill = Fill {
        key: key.clone(),
        token,
        value: "1".into(),
        decoded_size: 0,
        ttl,
        hold: None,
        kept: None,
    };
    assert_eq!(backend.store(&[fill]).await.remove(0).unwrap(), Stored::Stored);
}

/// Asserts that each operation of the lease's holder wakes a waiting backend.
async fn assert_woken(holder: &RedisBackend, waiter: &RedisBackend, key: &WireKey) {
    waiter.read(std::slice::from_ref(key)).await.unwrap();
    for ending in ["store", "release", "renew"] {
        let (token, granted) = acquire(holder, key).await;
        assert!(matches!(granted, Acquired::Granted(_)), "{granted:?}");
        let mut watch = waiter.watch(key).expect("the server reports changes");
        let (_, busy) = acquire(waiter, key).await;
        assert!(matches!(busy, Acquired::Busy(_)), "{busy:?}");
        waiter.ping().await.unwrap();
        assert_eq!((&mut watch).now_or_never(), None, "nothing has changed yet");
        match ending {
            "store" => store(holder, key, token).await,
            "release" => holder.release(key, token).await.unwrap(),
            _ => assert!(holder.renew(key, token, Duration::from_secs(5)).await.unwrap()),
        }
        woken(watch).await;
        holder.invalidate(std::slice::from_ref(key)).await.unwrap();
    }
}

#[tokio::test]
async fn lease_changes_wake_waiters() {
    let server = support::server();
    let (holder, waiter) = (support::backend(&server.url()), support::backend(&server.url()));
    for key in ["k", "{a}b", "a}b"] {
        assert_woken(&holder, &waiter, &key.into()).await;
    }
}

#[tokio::test]
async fn broadcast_tracking_wakes_waiters() {
    let server = support::server();
    let options = RedisOptions::from_url(&server.url()).unwrap();
    let holder = support::backend(&server.url());
    let waiter = support::backend_with(options.tracking(Tracking::Broadcast(vec![])));
    assert_woken(&holder, &waiter, &"k".into()).await;
}

#[tokio::test]
async fn every_cluster_node_reports_changes() {
    let cluster = RedisCluster::start().unwrap();
    let holder = support::backend_with(support::long_timeouts(&cluster.url()));
    let waiter = support::backend_with(support::long_timeouts(&cluster.url()));
    for number in 0..10 {
        assert_woken(&holder, &waiter, &format!("k{number}").into()).await;
    }
}

/// Reports are lost with the connection, so waiters have to check again.
#[tokio::test]
async fn lost_connection_wakes_waiters() {
    let server = support::server();
    let backend = support::backend(&server.url());
    backend.ping().await.unwrap();
    let watch = backend.watch(&"k".into()).expect("the server reports changes");
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    woken(watch).await;
}

#[tokio::test]
async fn server_without_tracking_is_usable() {
    for arguments in [["--rename-command", "HELLO", ""], ["--rename-command", "CLIENT", ""]] {
        let server = RedisServer::start_with(&arguments).unwrap();
        let backend = support::backend(&server.url());
        backend.ping().await.unwrap();
        assert!(backend.watch(&"k".into()).is_none(), "{arguments:?}");
        let (token, _) = acquire(&backend, &"k".into()).await;
        store(&backend, &"k".into(), token).await;
    }
    let server = support::server();
    let options = RedisOptions::from_url(&server.url()).unwrap().tracking(Tracking::Off);
    let backend = support::backend_with(options);
    backend.ping().await.unwrap();
    assert!(backend.watch(&"k".into()).is_none());
}

/// `CLIENT CACHING` applies to the next command only, also when the script's text is sent.
#[tokio::test]
async fn acquire_by_script_text_is_tracked() {
    let server = support::server();
    let (holder, waiter) = (support::backend(&server.url()), support::backend(&server.url()));
    let key = WireKey::from("k");
    waiter.ping().await.unwrap();
    let (token, _) = acquire(&holder, &key).await;
    server.command(&["SCRIPT", "FLUSH"]);
    let watch = waiter.watch(&key).expect("the server reports changes");
    let (_, busy) = acquire(&waiter, &key).await;
    assert!(matches!(busy, Acquired::Busy(_)), "{busy:?}");
    holder.release(&key, token).await.unwrap();
    woken(watch).await;
}
