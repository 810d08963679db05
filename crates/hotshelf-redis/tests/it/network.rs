//! A network that delays, holds and drops bytes, and closes connections.

use std::time::Duration;

use futures_util::future::{join, join_all};
use hotshelf_core::{Backend, ErrorKind};
use hotshelf_redis::{RedisBackend, RedisOptions};
use hotshelf_testkit::{Conditions, Direction, Proxy, RedisServer};

use crate::support;

/// A server behind a proxy.
fn behind_proxy() -> (RedisServer, Proxy) {
    let server = support::server();
    let proxy = Proxy::start(server.port()).unwrap();
    (server, proxy)
}

async fn write_all(backend: &RedisBackend, keys: usize) {
    for key in 0..keys {
        backend.client().set(format!("k{key}"), value(key)).await.unwrap();
    }
}

/// A value that contains its key.
fn value(key: usize) -> String {
    format!("{key}:{}", "x".repeat(key * 37))
}

async fn read_all(backend: &RedisBackend, keys: usize) {
    let reads = (0..keys).map(|key| async move {
        let read = backend.read(&[format!("k{key}").into()]).await.unwrap();
        assert_eq!(read[0].as_deref(), Some(value(key).as_bytes()), "k{key}");
    });
    join_all(reads).await;
}

#[tokio::test]
async fn replies_may_arrive_bytewise() {
    for conditions in
        [Conditions::default().split(), Conditions::default().drip(7, Duration::from_micros(50))]
    {
        let (_server, proxy) = behind_proxy();
        let backend = support::backend_with(support::long_timeouts(&proxy.url()));
        proxy.set_both(conditions);
        write_all(&backend, 12).await;
        read_all(&backend, 12).await;
    }
}

#[tokio::test]
async fn slow_network_serves_callers_concurrently() {
    let (_server, proxy) = behind_proxy();
    let backend = support::backend_with(support::long_timeouts(&proxy.url()));
    write_all(&backend, 100).await;
    let delay = Duration::from_millis(25);
    proxy.set_both(Conditions::default().delay(delay));
    let start = support::now();
    read_all(&backend, 100).await;
    assert!((delay * 2..delay * 8).contains(&start.elapsed()), "{:?}", start.elapsed());
}

/// Late replies are dropped, and don't shift the replies that follow.
#[tokio::test]
async fn late_replies_are_dropped() {
    let (_server, proxy) = behind_proxy();
    let options = support::long_timeouts(&proxy.url()).read_timeout(Duration::from_millis(30));
    let backend = support::backend_with(options);
    write_all(&backend, 20).await;
    for direction in [Direction::ToServer, Direction::ToClient] {
        proxy.set(direction, Conditions::default().hold());
        let reads = (0..20).map(|key| {
            let (backend, key) = (&backend, format!("k{key}"));
            async move { backend.read(&[key.into()]).await }
        });
        for read in join_all(reads).await {
            assert_eq!(read.unwrap_err().kind(), ErrorKind::Timeout);
        }
        proxy.clear();
        backend.ping().await.unwrap();
        read_all(&backend, 20).await;
    }
    assert_eq!(proxy.connections(), 1, "one stall doesn't close the connection");
}

#[tokio::test]
async fn packet_loss_costs_few_deadlines() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let (_server, proxy) = behind_proxy();
        let backend = support::backend(&proxy.url());
        backend.ping().await.unwrap();
        proxy.set(direction, Conditions::default().swallow());
        let start = support::now();
        for _ in 0..50 {
            assert!(backend.read(&["k".into()]).await.unwrap_err().is_temporary());
        }
        assert!(start.elapsed() < Duration::from_millis(700), "{:?}", start.elapsed());
        proxy.clear();
        support::ping_until_back(&backend).await;
    }
}

#[tokio::test]
async fn disconnect_times_out_calls_in_flight() {
    let (_server, proxy) = behind_proxy();
    let backend = support::backend_with(support::long_timeouts(&proxy.url()));
    backend.ping().await.unwrap();
    for how in [Proxy::cut as fn(&Proxy), |proxy| proxy.half_close(Direction::ToClient)] {
        proxy.set(Direction::ToClient, Conditions::default().hold());
        let cut = async {
            support::pause(Duration::from_millis(20)).await;
            how(&proxy);
        };
        let (read, ()) = join(backend.client().get("k"), cut).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Timeout);
        proxy.clear();
        support::ping_until_back(&backend).await;
    }
}

#[tokio::test]
async fn refused_connections_are_retried() {
    let (_server, proxy) = behind_proxy();
    let backend = support::backend(&proxy.url());
    backend.ping().await.unwrap();
    proxy.refuse(true);
    proxy.cut();
    support::until("the failure to be noticed", async || backend.ping().await.err()).await;
    for _ in 0..50 {
        assert!(backend.read(&["k".into()]).await.unwrap_err().is_temporary());
    }
    support::until("further attempts", async || (proxy.refused() > 2).then_some(())).await;
    proxy.refuse(false);
    support::ping_until_back(&backend).await;
}

/// Operations in flight when the connection is closed time out later than those that caused
/// it. They don't count against the next connection.
#[tokio::test]
async fn late_timeouts_spare_next_connection() {
    let (_server, proxy) = behind_proxy();
    let backend = support::backend(&proxy.url());
    backend.ping().await.unwrap();
    proxy.freeze_connections();
    let key = ["k".into()];
    let writes = join_all((0..8).map(|_| backend.invalidate(&key)));
    let back = async {
        for _ in 0..3 {
            // Reads that time out together count once.
            let reads = join_all((0..4).map(|_| backend.read(&key)));
            assert!(reads.await.iter().all(|read| read.as_ref().unwrap_err().is_timeout()));
        }
        support::ping_until_back(&backend).await;
    };
    let (_, writes) = join(back, writes).await;
    assert!(writes.iter().all(|write| write.as_ref().unwrap_err().is_timeout()));
    backend.ping().await.expect("the next connection is still up");
    assert_eq!(proxy.connections(), 2);
}

/// A cancelled call is not evidence that the server responds.
#[tokio::test]
async fn cancelled_calls_count_as_timeouts() {
    let (_server, proxy) = behind_proxy();
    let options = RedisOptions::from_url(&proxy.url()).unwrap();
    let backend = support::backend_with(options.read_timeout(Duration::from_millis(20)));
    backend.ping().await.unwrap();
    proxy.freeze_connections();
    let cancelled_call = async || {
        let key = ["k".into()];
        let cancelled = support::pause(Duration::from_millis(5));
        drop(futures_util::future::select(backend.read(&key), std::pin::pin!(cancelled)).await);
        support::pause(Duration::from_millis(20)).await;
        (proxy.connections() == 2).then_some(())
    };
    support::until("the connection to be replaced", cancelled_call).await;
}

/// A lost connection is opened again at once: calls after the cut wait for it, and invalidations
/// in flight are repeated.
#[tokio::test]
async fn cut_connections_cost_no_invalidation() {
    let (_server, proxy) = behind_proxy();
    let backend = support::backend(&proxy.url());
    support::ping_until_back(&backend).await;
    for round in 0..20 {
        let invalidations = (0..50).map(|key| {
            let backend = &backend;
            async move { backend.invalidate(&[format!("k{round}-{key}").into()]).await }
        });
        let (all, ()) = join(join_all(invalidations), async { proxy.cut() }).await;
        let failed: Vec<_> = all.into_iter().filter_map(Result::err).collect();
        assert!(failed.is_empty(), "{round}: {} failed, {:?}", failed.len(), failed[0]);
        backend.ping().await.unwrap();
    }
}

/// After an outage, however long, the server is used again within a second.
#[tokio::test]
async fn recovered_server_is_used_within_a_second() {
    let mut server = support::server();
    let backend = support::backend(&server.url());
    support::ping_until_back(&backend).await;
    server.kill();
    // Long enough for the longest pause between attempts.
    support::pause(Duration::from_secs(3)).await;
    assert!(backend.ping().await.is_err());
    server.restart().unwrap();
    let began = support::now();
    support::ping_until_back(&backend).await;
    assert!(began.elapsed() < Duration::from_millis(1_200), "{:?}", began.elapsed());
}

/// tokio panics on a socket in such a runtime.
#[test]
fn runtime_without_sockets_is_named() {
    let server = support::server();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let error = tokio.block_on(support::backend(&server.url()).ping()).unwrap_err();
    assert_eq!(error.kind(), hotshelf_core::ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("enable_io"), "{error}");
}
