//! Servers that are away, go away, stop answering and forget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hotshelf_core::backend::{Acquire, Acquired, Seen, Token};
use hotshelf_core::{Backend, ErrorKind, Pattern};
use hotshelf_redis::RedisBackend;
use hotshelf_testkit::RedisServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::support;

/// Asks until the connection has come back. The backend itself paces the attempts.
async fn ping_until_back(backend: &RedisBackend) {
    let start = support::now();
    while let Err(error) = backend.ping().await {
        assert!(start.elapsed() < Duration::from_secs(20), "{error:?}");
        tokio::task::yield_now().await;
    }
}

fn a_dead_url() -> String {
    let mut server = support::server();
    server.kill();
    server.url()
}

#[tokio::test]
async fn an_absent_server_fails_at_once() {
    let backend = support::backend(&a_dead_url());
    assert_eq!(backend.ping().await.unwrap_err().kind(), ErrorKind::Unavailable);

    let start = support::now();
    for _ in 0..100 {
        let read = backend.read(&["k".into()]).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
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
    ping_until_back(&backend).await;
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
    ping_until_back(&backend).await;
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

/// Operations that were under way when the connection was given up time out later than
/// those that gave it up. That says nothing of the next connection.
#[tokio::test]
async fn late_timeouts_are_not_held_against_the_next_connection() {
    let server = support::server();
    let proxy = Proxy::start(server.port()).await;
    let backend = support::backend(&proxy.url);
    backend.ping().await.unwrap();
    proxy.frozen.store(1, Ordering::Relaxed);
    let key = ["k".into()];
    let writes = futures_util::future::join_all((0..8).map(|_| backend.invalidate(&key)));
    let back = async {
        for _ in 0..3 {
            // Each of them together with others, which don't count.
            let reads = futures_util::future::join_all((0..4).map(|_| backend.read(&key)));
            assert!(reads.await.iter().all(|read| read.as_ref().unwrap_err().is_timeout()));
        }
        ping_until_back(&backend).await;
    };
    let (_, writes) = futures_util::future::join(back, writes).await;
    assert!(writes.iter().all(|write| write.as_ref().unwrap_err().is_timeout()));
    backend.ping().await.expect("the next connection is still up");
    assert_eq!(proxy.connections.load(Ordering::Relaxed), 2);
}

/// Passes bytes on, and can freeze its first connections: they stay open, and silent.
struct Proxy {
    url: String,
    connections: Arc<AtomicU32>,
    frozen: Arc<AtomicU32>,
}

impl Proxy {
    async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (connections, frozen) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let proxy = Self { url, connections: connections.clone(), frozen: frozen.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::Relaxed);
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let frozen = frozen.clone();
                let is_frozen = move || number < frozen.load(Ordering::Relaxed);
                tokio::spawn(pass_on(from_client, to_server, is_frozen.clone()));
                tokio::spawn(pass_on(from_server, to_client, is_frozen));
            }
        });
        proxy
    }
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_frozen: impl Fn() -> bool) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if !is_frozen() && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

#[test]
fn a_backend_outlives_the_async_runtime_that_it_connected_in() {
    let server = support::server();
    let backend = support::backend(&server.url());
    for _ in 0..3 {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(ping_until_back(&backend));
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
