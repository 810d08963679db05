//! Runtimes that end, stores that are closed, and leaders that nobody polls.

use std::future::pending;
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::iter;
use hotshelf::{Cache, Store, Unfinished};
use hotshelf_testkit::RedisServer;
use tokio::runtime::{Builder, Runtime};

use crate::support::{SECOND, now, on_tokio, pause, server};

/// How soon a call must go on that would otherwise wait for a lost lease.
const SOON: Duration = Duration::from_millis(300);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs a test in memory and on a real Redis.
fn on_each_store(test: impl Fn(Store)) {
    test(Store::memory());
    let server = server();
    test(Store::builder().url(server.url()).build().unwrap());
}

fn numbers(store: &Store) -> Cache<u32> {
    store.cache("numbers").build().unwrap()
}

async fn for_ever<T>() -> T {
    pending().await
}

/// Loads a key that somebody else has left, which must not take long.
async fn load_soon(cache: &Cache<u32>, key: &str) {
    let began = now();
    assert_eq!(*cache.get_or_insert_with(key, async || 7).await, 7);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(cache.get(key).await.as_deref(), Some(&7), "it was stored");
}

#[test]
fn write_ended_with_its_runtime_invalidates() {
    on_each_store(|store| {
        let cache = numbers(&store);
        runtime().block_on(cache.insert("k", 1));
        runtime().block_on(async {
            let write = cache.write_through("k", async || Ok::<_, ()>(for_ever().await));
            assert!(tokio::time::timeout(Duration::from_millis(50), write).await.is_err());
        });
        assert_eq!(runtime().block_on(cache.get("k")), None);
        runtime().block_on(load_soon(&cache, "k"));
    });
}

#[test]
fn write_shut_down_with_its_workers_invalidates() {
    on_each_store(|store| {
        let cache = numbers(&store);
        runtime().block_on(cache.insert("k", 1));
        let (committed, writes) = mpsc::channel();
        let (ending, writer) = (workers(), cache.clone());
        ending.spawn(async move {
            let commit = async || {
                committed.send(()).unwrap();
                Ok::<_, ()>(for_ever().await)
            };
            writer.write_through("k", commit).await.map(drop)
        });
        writes.recv().unwrap();
        ending.shutdown_timeout(SECOND);
        assert_eq!(runtime().block_on(cache.get("k")), None);
    });
}

/// The runtime of the first caller exists, and nobody runs it.
#[test]
fn write_of_stopped_runtime_invalidates() {
    on_each_store(|store| {
        let cache = numbers(&store);
        let stopped = runtime();
        stopped.block_on(async {
            cache.insert("k", 1).await;
            let mut write =
                Box::pin(cache.write_through("k", async || Ok::<_, ()>(for_ever().await)));
            let ended = tokio::time::timeout(Duration::from_millis(50), &mut write);
            assert!(ended.await.is_err());
        });
        assert_eq!(runtime().block_on(cache.get("k")), None);
        runtime().block_on(load_soon(&cache, "k"));
    });
}

#[test]
fn load_ended_with_its_runtime_leaves_no_lease() {
    on_each_store(|store| {
        let cache = numbers(&store);
        runtime().block_on(async {
            let load = cache.get_or_insert_with("k", async || for_ever().await);
            assert!(tokio::time::timeout(Duration::from_millis(50), load).await.is_err());
        });
        runtime().block_on(load_soon(&cache, "k"));

        let (ending, loader) = (workers(), cache.clone());
        let (loading, loads) = mpsc::channel();
        ending.spawn(async move {
            let load = async || {
                loading.send(()).unwrap();
                for_ever().await
            };
            loader.get_or_insert_with("j", load).await
        });
        loads.recv().unwrap();
        ending.shutdown_timeout(SECOND);
        runtime().block_on(load_soon(&cache, "j"));
    });
}

/// Returns the names of all leases of a server.
fn leases(server: &RedisServer) -> String {
    server.cli(&["KEYS", "hs:l:*"])
}

#[test]
fn close_leaves_nothing_behind() {
    let server = server();
    on_tokio(async {
        let store = Store::connect(&server.url()).await.unwrap();
        let cache = numbers(&store);
        for key in ["written", "cancelled"] {
            assert!(cache.insert(key, 1).await);
        }
        let task = |cache: Cache<u32>, key: &'static str| {
            tokio::spawn(async move {
                cache.write_through(key, async || Ok::<_, ()>(for_ever().await)).await.map(drop)
            })
        };
        let _written = task(cache.clone(), "written");
        let cancelled = task(cache.clone(), "cancelled");
        let loader = cache.clone();
        let _loaded = tokio::spawn(async move {
            loader.get_or_insert_with("loaded", async || for_ever().await).await
        });
        let ticket = cache.ticket("ticket").await.unwrap();
        assert!(ticket.can_store());
        while leases(&server).lines().count() < 4 {
            pause(Duration::from_millis(5)).await;
        }
        cancelled.abort();
        assert_eq!(store.close().await, Unfinished::default());
    });
    assert_eq!(leases(&server).trim(), "");
    assert_eq!(server.cli(&["KEYS", "*numbers*"]).trim(), "", "both entries are gone");
}

#[test]
fn close_reports_what_is_left() {
    let server = server();
    on_tokio(async {
        let store = Store::connect(&server.url()).await.unwrap();
        let cache = numbers(&store);
        assert!(cache.insert("k", 1).await);
        let write = cache.write_through("k", async || {
            server.pause();
            Ok::<_, ()>(for_ever().await)
        });
        let load = cache.get_or_insert_with("j", async || for_ever().await);
        let both = futures_util::future::join(load, write);
        assert!(tokio::time::timeout(Duration::from_millis(100), both).await.is_err());
        let began = now();
        let unfinished = store.close().await;
        assert_eq!((unfinished.invalidations, unfinished.leases), (1, 1));
        assert!(began.elapsed() < SECOND + SOON, "{:?}", began.elapsed());
        server.resume();
    });
}

#[test]
fn unpolled_leader_is_replaced() {
    on_each_store(|store| {
        let cache: Cache<u32> =
            store.cache("numbers").wait_timeout(Duration::from_millis(200)).build().unwrap();
        runtime().block_on(async {
            let load = |key: &'static str, millis| {
                let cache = &cache;
                async move {
                    let load = async || {
                        pause(Duration::from_millis(millis)).await;
                        1
                    };
                    *cache.get_or_insert_with(key, load).await
                }
            };
            let mut loads = pin!(iter([load("a", 20), load("b", 60)]).buffer_unordered(2));
            loads.next().await;
            // From here on nobody polls the load of "b".
            let other = cache.clone();
            let waiter =
                tokio::spawn(async move { *other.get_or_insert_with("b", async || 9).await });
            let waiter = tokio::time::timeout(SECOND, waiter).await;
            assert_eq!(waiter.expect("it need not wait for ever").unwrap(), 9);
            assert_eq!(loads.next().await, Some(1), "its own callers get what it has loaded");
            assert_eq!(cache.get("b").await.as_deref(), Some(&9), "the late fill was refused");
        });
    });
}

#[test]
fn slow_loader_is_waited_for() {
    on_each_store(|store| {
        let cache: Cache<u32> =
            store.cache("numbers").wait_timeout(Duration::from_millis(100)).build().unwrap();
        runtime().block_on(async {
            let load = async || {
                pause(Duration::from_millis(500)).await;
                1
            };
            let both = futures_util::future::join(
                cache.get_or_insert_with("k", load),
                cache.get_or_insert_with("k", async || 2),
            );
            let (first, second) = both.await;
            assert_eq!((*first, *second), (1, 1));
        });
    });
}

#[test]
fn unpolled_successor_is_replaced() {
    let store = Store::memory();
    let cache: Cache<u32> =
        store.cache("numbers").wait_timeout(Duration::from_millis(200)).build().unwrap();
    on_tokio(async {
        let call = |cache: Cache<u32>| async move {
            *cache.get_or_insert_with("k", async || for_ever().await).await
        };
        let leader = tokio::spawn(call(cache.clone()));
        pause(Duration::from_millis(5)).await;
        let mut successor = pin!(call(cache.clone()));
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(successor.as_mut().poll(&mut context), Poll::Pending);
        let third = cache.clone();
        let third = tokio::spawn(async move { *third.get_or_insert_with("k", async || 3).await });
        pause(Duration::from_millis(5)).await;
        leader.abort();
        let third = tokio::time::timeout(SECOND, third).await;
        assert_eq!(third.expect("it need not wait for ever").unwrap(), 3);
    });
}

#[test]
fn own_key_is_computed_at_once() {
    on_each_store(|store| {
        let cache = numbers(&store);
        let inner = async |value| *cache.get_or_insert_with("k", async || value).await;
        runtime().block_on(async {
            let began = now();
            let loaded = cache.get_or_insert_with("k", async || inner(1).await + 1).await;
            assert_eq!(*loaded, 2);

            cache.invalidate("k").await.unwrap();
            let written = cache.write_through("k", async || Ok::<_, ()>(inner(3).await + 1));
            assert_eq!(*written.await.unwrap(), 4);

            cache.invalidate("k").await.unwrap();
            let ticket = cache.ticket("k").await.unwrap();
            assert!(ticket.can_store());
            assert_eq!(inner(5).await, 5);
            drop(ticket);
            assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
            assert_eq!(cache.stats().degraded, 3);
        });
    });
}
