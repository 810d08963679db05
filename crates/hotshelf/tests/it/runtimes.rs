//! Several tokio runtimes, and runtimes that are too busy to wait.

use std::sync::mpsc;
use std::time::Duration;

use futures_util::future::join_all;
use hotshelf::{Cache, Store};
use hotshelf_testkit::RedisServer;
use tokio::runtime::{Builder, Runtime};

use crate::support::{Loads, now, pause, server};

/// The read deadline, and a tolerance for a busy machine.
const SOON: Duration = Duration::from_millis(150);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A cache that was used on a runtime, and that runtime.
fn used(server: &RedisServer) -> (Runtime, Cache<u32>) {
    let runtime = runtime();
    let cache = runtime.block_on(async {
        let store = Store::connect(&server.url()).await.unwrap();
        let cache = store.cache("numbers").build().unwrap();
        assert!(cache.insert("k", 1).await);
        cache
    });
    (runtime, cache)
}

/// Blocks the thread.
#[expect(clippy::disallowed_methods, reason = "this is what a busy process does")]
fn block(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

#[test]
fn idle_runtime_delays_no_other() {
    let server = server();
    let (_idle, cache) = used(&server);
    assert_eq!(runtime().block_on(cache.get("k")).as_deref(), Some(&1));

    server.pause();
    let other = runtime();
    for _ in 0..2 {
        let began = now();
        assert!(other.block_on(cache.fallible().get("k")).is_err());
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
}

#[test]
fn busy_runtime_delays_no_other() {
    let server = server();
    let (busy, cache) = used(&server);
    let (began_blocking, blocks) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        busy.block_on(async {
            began_blocking.send(()).unwrap();
            block(1_000);
        });
    });
    blocks.recv().unwrap();
    let began = now();
    assert_eq!(runtime().block_on(cache.get("k")).as_deref(), Some(&1));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    thread.join().unwrap();
}

#[test]
fn ended_runtime_delays_no_other() {
    let server = server();
    let (ended, cache) = used(&server);
    drop(ended);
    for _ in 0..3 {
        let began = now();
        assert_eq!(runtime().block_on(cache.get("k")).as_deref(), Some(&1));
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
}

#[test]
fn runtimes_share_flights() {
    let server = server();
    let (first, cache) = used(&server);
    let (loading, loads) = mpsc::channel();
    let leader = cache.clone();
    let thread = std::thread::spawn(move || {
        first.block_on(leader.get_or_insert_with("slow", async || {
            loading.send(()).unwrap();
            pause(Duration::from_millis(200)).await;
            7
        }))
    });
    loads.recv().unwrap();
    let value = runtime().block_on(cache.get_or_insert_with("slow", async || 8));
    assert_eq!((*value, *thread.join().unwrap()), (7, 7));
    assert_eq!(cache.stats().coalesced, 1);
}

/// The server answers at once; the runtime reads the answers late.
#[test]
fn blocked_runtime_loses_no_hit() {
    let server = server();
    let (runtime, cache) = used(&server);
    runtime.block_on(async {
        for round in 0..5 {
            let reads = (0..20).map(|_| tokio::spawn(read(cache.clone())));
            let reads: Vec<_> = reads.collect();
            if round % 2 == 0 {
                // The requests are sent, and answered while the thread is blocked.
                pause(Duration::from_millis(1)).await;
            }
            block(300);
            for read in reads {
                assert_eq!(read.await.unwrap(), (Some(1), 1));
            }
        }
        let stats = cache.stats();
        assert_eq!((stats.misses, stats.errors, stats.loads), (0, 0, 0), "{stats:?}");
    });
}

async fn read(cache: Cache<u32>) -> (Option<u32>, u32) {
    let loaded = cache.get_or_insert_with("k", async || 2).await;
    (cache.get("k").await.as_deref().copied(), *loaded)
}

#[test]
fn blocked_runtime_reports_what_was_done() {
    let server = server();
    let (runtime, cache) = used(&server);
    runtime.block_on(async {
        let owned = cache.clone();
        let writing = tokio::spawn(async move {
            let written = owned.write_through("k", async || Ok::<_, ()>(2)).await.unwrap();
            let removed = owned.fallible().invalidate("k").await;
            (written.cached(), removed.map(drop))
        });
        pause(Duration::from_millis(1)).await;
        for _ in 0..5 {
            block(300);
            pause(Duration::from_millis(1)).await;
        }
        let (written, removed) = writing.await.unwrap();
        assert!(written.is_ok() && removed.is_ok(), "{written:?}, {removed:?}");
    });
}

#[test]
fn cold_burst_is_stored() {
    const KEYS: u64 = 20_000;

    let server = server();
    runtime().block_on(async {
        let store = Store::connect(&server.url()).await.unwrap();
        // The queue is tested here, not the speed of an unoptimised build beside other tests.
        let cache = store.cache::<u32>("numbers").backend_budget(Duration::from_secs(2));
        let cache = cache.build().unwrap();
        let load = |key| cache.get_or_insert_with(key, async || 7);
        join_all((0..KEYS).map(load)).await;
        let stats = cache.stats();
        assert_eq!((stats.loads, stats.degraded, stats.errors), (KEYS, 0, 0));
        let values = join_all((0..KEYS).map(load)).await;
        assert!(values.iter().all(|value| **value == 7));
        assert_eq!(cache.stats().loads, KEYS, "all were stored");
    });
}

/// Timers are served between the batches, also within a task of its own.
#[test]
fn bulk_calls_share_the_thread() {
    let cache = Store::memory().cache::<u32>("numbers").build().unwrap();
    runtime().block_on(async {
        let (ended, end) = futures_util::future::abortable(std::future::pending::<()>());
        let ticks = tokio::spawn(async move {
            let (mut ticks, mut ended) = (0, std::pin::pin!(ended));
            while tokio::time::timeout(Duration::from_millis(1), &mut ended).await.is_err() {
                ticks += 1;
            }
            ticks
        });
        let owned = cache.clone();
        let entries = (0..30_000_u64).map(|key| (key, 1_u32));
        let inserting = tokio::spawn(async move { owned.insert_many(entries).await });
        assert!(inserting.await.unwrap().into_iter().all(|stored| stored));
        end.abort();
        let ticks: u32 = ticks.await.unwrap();
        assert!(ticks >= 15, "{ticks} ticks in 30 batches");
    });
}

/// Each call passes through the connection of its own runtime, in any order of their ends.
#[test]
fn many_runtimes_come_and_go() {
    let server = server();
    let (_first, cache) = used(&server);
    let loads = Loads::default();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (cache, loads) = (cache.clone(), loads.clone());
            std::thread::spawn(move || {
                for round in 0..10 {
                    let key = (thread, round);
                    let load = async || loads.load("").await.len() as u32;
                    runtime().block_on(cache.get_or_insert_with(key, load));
                    assert_eq!(runtime().block_on(cache.get(key)).as_deref(), Some(&0));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(loads.count(), 40);
    assert_eq!(cache.stats().errors, 0);
}

/// Hits in memory never wait, but let other tasks run.
#[test]
fn memory_hits_share_the_thread() {
    runtime().block_on(async {
        let cache = Store::memory().cache::<u32>("numbers").build().unwrap();
        assert!(cache.insert("k", 1).await);
        let (sender, mut runs) = tokio::sync::oneshot::channel();
        tokio::spawn(async move { sender.send(()).unwrap() });
        for reads in 0.. {
            assert!(reads < 10_000, "the other task never runs");
            assert_eq!(cache.get("k").await.as_deref(), Some(&1));
            if runs.try_recv().is_ok() {
                break;
            }
        }
    });
}

#[test]
fn bulk_insert_shares_the_thread() {
    runtime().block_on(async {
        let cache = Store::memory().cache::<u32>("numbers").build().unwrap();
        let inserting = cache.insert_many((0..20_000_u32).map(|key| (key, key)));
        let mut turns = 0;
        let others = async {
            loop {
                tokio::task::yield_now().await;
                turns += 1;
            }
        };
        tokio::select! {
            stored = inserting => assert!(stored.into_iter().all(|stored| stored)),
            () = others => unreachable!(),
        }
        assert!(turns >= 15, "{turns}");
    });
}

#[test]
fn store_without_timers_works() {
    let bare = Builder::new_current_thread().build().unwrap();
    let cache = Store::memory().cache::<u32>("numbers").build().unwrap();
    let load = async || {
        tokio::task::yield_now().await;
        7
    };
    assert_eq!(*bare.block_on(cache.get_or_insert_with("k", load)), 7);
    let outside = cache.get_or_insert_with("j", async || 8);
    assert_eq!(*futures_util::FutureExt::now_or_never(outside).unwrap(), 8);
}
