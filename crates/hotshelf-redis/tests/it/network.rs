//! A network that delays, holds, drops and cuts.

use std::time::Duration;

use futures_util::future::{join, join_all};
use hotshelf_core::{Backend, ErrorKind};
use hotshelf_redis::{RedisBackend, RedisOptions};
use hotshelf_testkit::{Conditions, Direction, Proxy, RedisServer};

use crate::support;

/// A server behind a network.
fn behind() -> (RedisServer, Proxy) {
    let server = support::server();
    let proxy = Proxy::start(server.port()).unwrap();
    (server, proxy)
}

async fn write_all(backend: &RedisBackend, keys: usize) {
    for key in 0..keys {
        backend.client().set(format!("k{key}"), value(key)).await.unwrap();
    }
}

/// A value that carries its key.
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
async fn bytes_may_come_one_by_one() {
    for conditions in
        [Conditions::default().split(), Conditions::default().drip(7, Duration::from_micros(50))]
    {
        let (_server, proxy) = behind();
        let backend = support::backend_with(support::patient(&proxy.url()));
        proxy.set_both(conditions);
        write_all(&backend, 12).await;
        read_all(&backend, 12).await;
    }
}

#[tokio::test]
async fn callers_do_not_queue_for_a_slow_network() {
    let (_server, proxy) = behind();
    let backend = support::backend_with(support::patient(&proxy.url()));
    write_all(&backend, 100).await;
    let delay = Duration::from_millis(25);
    proxy.set_both(Conditions::default().delay(delay));
    let start = support::now();
    read_all(&backend, 100).await;
    assert!((delay * 2..delay * 8).contains(&start.elapsed()), "{:?}", start.elapsed());
}

/// What comes too late is nobody's, and puts nothing out of step.
#[tokio::test]
async fn late_replies_are_nobodys() {
    let (_server, proxy) = behind();
    let options = support::patient(&proxy.url()).read_timeout(Duration::from_millis(30));
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
    assert_eq!(proxy.connections(), 1, "one hiccup doesn't cost the connection");
}

#[tokio::test]
async fn a_network_that_swallows_costs_a_few_deadlines() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let (_server, proxy) = behind();
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
async fn what_is_in_flight_when_the_connection_is_cut_is_unknown() {
    let (_server, proxy) = behind();
    let backend = support::backend_with(support::patient(&proxy.url()));
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
async fn a_network_that_refuses_is_tried_again_and_again() {
    let (_server, proxy) = behind();
    let backend = support::backend(&proxy.url());
    backend.ping().await.unwrap();
    proxy.refuse(true);
    proxy.cut();
    support::until("it is noticed", async || backend.ping().await.err()).await;
    for _ in 0..50 {
        assert!(backend.read(&["k".into()]).await.unwrap_err().is_temporary());
    }
    support::until("it is tried again", async || (proxy.refused() > 2).then_some(())).await;
    proxy.refuse(false);
    support::ping_until_back(&backend).await;
}

/// Operations that were under way when the connection was given up time out later than
/// those that gave it up. That says nothing of the next connection.
#[tokio::test]
async fn late_timeouts_are_not_held_against_the_next_connection() {
    let (_server, proxy) = behind();
    let backend = support::backend(&proxy.url());
    backend.ping().await.unwrap();
    proxy.freeze_connections();
    let key = ["k".into()];
    let writes = join_all((0..8).map(|_| backend.invalidate(&key)));
    let back = async {
        for _ in 0..3 {
            // Each of them together with others, which don't count.
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

/// Whoever gives up asking is no reason to believe that the server is well.
#[tokio::test]
async fn a_silent_server_is_noticed_though_its_callers_leave() {
    let (_server, proxy) = behind();
    let options = RedisOptions::from_url(&proxy.url()).unwrap();
    let backend = support::backend_with(options.read_timeout(Duration::from_millis(20)));
    backend.ping().await.unwrap();
    proxy.freeze_connections();
    let leave = async || {
        let key = ["k".into()];
        let impatient = support::pause(Duration::from_millis(5));
        drop(futures_util::future::select(backend.read(&key), std::pin::pin!(impatient)).await);
        support::pause(Duration::from_millis(20)).await;
        (proxy.connections() == 2).then_some(())
    };
    support::until("the connection is given up", leave).await;
}
