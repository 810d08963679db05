//! Concurrent callers of one key.

use std::time::Duration;

use futures_util::future::{FutureExt, join, join_all, select};
use hotshelf::{KeyLayout, Store};
use hotshelf_core::Runtime;
use hotshelf_testkit::SimRuntime;

use crate::support::{Loads, SECOND, on_tokio, server, simulated};

#[test]
fn a_thousand_callers_run_one_loader() {
    for seed in 0..20 {
        let (runtime, _, texts) = simulated(seed);
        let loads = Loads::default();
        let call =
            || texts.get_or_insert_with("k", async || loads.load_slowly(&runtime, "v").await);
        let values = runtime.block_on(join_all((0..1000).map(|_| call())));
        assert!(values.iter().all(|value| **value == "v"));
        assert_eq!(loads.count(), 1, "seed {seed}");
        assert_eq!(texts.stats().coalesced, 999);
    }
}

/// A hanging loader collects no more than `max_waiters` callers.
#[test]
fn excess_waiters_load_without_storing() {
    let (runtime, store, _) = simulated(1);
    let texts = store.cache::<String>("few").max_waiters(3).build().unwrap();
    let loads = Loads::default();
    let call = || texts.get_or_insert_with("k", async || loads.load_slowly(&runtime, "v").await);
    let values = runtime.block_on(join_all((0..10).map(|_| call())));
    assert!(values.iter().all(|value| **value == "v"));
    let stats = texts.stats();
    assert_eq!((loads.count(), stats.coalesced, stats.degraded), (7, 3, 6));
    runtime.block_on(call());
    assert_eq!(loads.count(), 7, "the leader has stored");
}

#[test]
fn other_keys_do_not_wait() {
    let (runtime, _, texts) = simulated(1);
    let loads = Loads::default();
    let call =
        |key: u32| texts.get_or_insert_with(key, async || loads.load_slowly(&runtime, "v").await);
    runtime.block_on(join_all((0..100).map(call)));
    assert_eq!(loads.count(), 100);
    assert_eq!(runtime.now().since(Default::default()), SECOND, "they ran concurrently");
}

/// An error may be outdated for callers that joined after its loader began. They share the
/// next one.
#[test]
fn joiners_share_leader_error() {
    let (runtime, store, _) = simulated(1);
    let numbers = store.cache::<u32>("numbers").build().unwrap();
    let loads = Loads::default();
    let call = || {
        numbers.get_or_try_insert_with("k", async || {
            loads.load_slowly(&runtime, "no number").await.parse::<u32>()
        })
    };
    let results = runtime.block_on(join_all((0..50).map(|_| call())));
    let expected = "no number".parse::<u32>().unwrap_err();
    assert!(results.into_iter().all(|result| result.unwrap_err().loader() == Some(&expected)));
    assert_eq!(loads.count(), 2);
    assert_eq!(numbers.stats().load_errors, 2);
}

#[test]
fn other_error_type_runs_own_loader() {
    let (runtime, store, _) = simulated(1);
    let numbers = store.cache::<u32>("numbers").build().unwrap();
    let failing = numbers.get_or_try_insert_with("k", async || {
        runtime.sleep(SECOND).await;
        "x".parse::<u32>()
    });
    let other = numbers.get_or_try_insert_with("k", async || Err::<u32, String>("mine".into()));
    let (failed, other) = runtime.block_on(join(failing, other));
    assert!(failed.is_err());
    assert_eq!(other.unwrap_err().loader().unwrap(), "mine");
}

#[test]
fn failing_loads_do_not_starve_callers() {
    let (runtime, store, _) = simulated(1);
    let numbers = store.cache::<u32>("numbers").build().unwrap();
    let failing = join_all((0..5).map(|_| async {
        for _ in 0..20 {
            let load = async || {
                runtime.sleep(SECOND).await;
                Err::<u32, String>("again".into())
            };
            match numbers.get_or_try_insert_with("k", load).await {
                Ok(value) => assert_eq!(*value, 7, "the steady caller has stored it"),
                Err(error) => assert_eq!(error.loader().unwrap(), "again"),
            }
        }
    }));
    let steady = async {
        runtime.sleep(SECOND / 2).await;
        let value = *numbers.get_or_insert_with("k", async || 7).await;
        (value, runtime.now().since(Default::default()))
    };
    let (_, (value, after)) = runtime.block_on(join(failing, steady));
    assert_eq!(value, 7);
    assert!(after <= SECOND * 3, "it waited until {after:?}");
}

#[test]
fn cancelled_leader_hands_over() {
    for seed in 0..50 {
        let (runtime, _, texts) = simulated(seed);
        let (cancelled, kept) = (Loads::default(), Loads::default());
        let leader = texts
            .get_or_insert_with("k", async || cancelled.load_slowly(&runtime, "never seen").await);
        let waiters = join_all((0..10).map(|_| async {
            // They join while the leader loads.
            runtime.sleep(SECOND / 4).await;
            texts.get_or_insert_with("k", async || kept.load_slowly(&runtime, "v").await).await
        }));
        let leader = select(leader.boxed_local(), runtime.sleep(SECOND / 2)).map(drop);
        let (values, ()) = runtime.block_on(join(waiters, leader));

        assert!(values.iter().all(|value| **value == "v"));
        assert_eq!((cancelled.count(), kept.count()), (1, 1), "seed {seed}");
        assert_eq!(texts.stats().handed_over, 1);
        let elapsed = runtime.now().since(Default::default());
        assert_eq!(elapsed, SECOND * 3 / 2, "the successor began at once");
    }
}

#[test]
fn cancelled_successors_hand_over_too() {
    for seed in 0..50 {
        let (runtime, _, texts) = simulated(seed);
        let loads = Loads::default();
        let call =
            || texts.get_or_insert_with("k", async || loads.load_slowly(&runtime, "v").await);
        // Each is cancelled before its own load completes, except for the last.
        let callers = (0..8).map(|number| {
            let cancellation = runtime.sleep(SECOND / 2 * (number + 1));
            async move { select(call().boxed_local(), cancellation).await }.map(drop)
        });
        let (value, _) = runtime.block_on(join(call(), join_all(callers)));
        assert_eq!(*value, "v", "seed {seed}");
    }
}

#[test]
fn successor_renews_inherited_lease() {
    let (runtime, _, texts) = simulated(1);
    let loads = Loads::default();
    // Four leaders, each of which is cancelled just before it would renew the lease.
    let cancelled = (0..4).map(|number| {
        let cancellation = runtime.sleep(SECOND * 8 / 5 * (number + 1));
        let (texts, runtime) = (&texts, &runtime);
        async move {
            runtime.sleep(Duration::from_millis(number.into())).await;
            let load = async || {
                runtime.sleep(SECOND * 60).await;
                "never seen".to_owned()
            };
            select(texts.get_or_insert_with("k", load).boxed_local(), cancellation).map(drop).await;
        }
    });
    let last = async {
        runtime.sleep(SECOND / 10).await;
        texts.get_or_insert_with("k", async || loads.load_slowly(&runtime, "v").await).await
    };
    runtime.block_on(join(last, join_all(cancelled)));
    assert_eq!(texts.stats().handed_over, 4);
    assert!(runtime.block_on(texts.contains_key("k")), "the fill was not refused");
}

#[test]
fn successor_replaces_invalidated_lease() {
    let (runtime, _, texts) = simulated(1);
    let loads = Loads::default();
    let load = async || loads.load_slowly(&runtime, "old").await;
    let leader = texts.get_or_insert_with("k", load).boxed_local();
    let leader = select(leader, runtime.sleep(SECOND / 2)).map(drop);
    let waiter = async {
        runtime.sleep(SECOND / 10).await;
        texts.get_or_insert_with("k", async || loads.load_slowly(&runtime, "new").await).await
    };
    let invalidation = async {
        runtime.sleep(SECOND / 4).await;
        texts.invalidate("k").await.unwrap();
    };
    runtime.block_on(join(leader, join(waiter, invalidation)));
    assert_eq!(runtime.block_on(texts.get("k")).unwrap().as_str(), "new");
    assert_eq!(texts.stats().refused, 0);
}

#[test]
fn cancelled_load_releases_its_lease() {
    let (runtime, _, texts) = simulated(1);
    let loads = Loads::default();
    let call = || texts.get_or_insert_with("k", async || loads.load_slowly(&runtime, "v").await);
    runtime.block_on(select(call().boxed_local(), runtime.sleep(SECOND / 2)).map(drop));
    runtime.block_on(call());
    assert_eq!(loads.count(), 2);
    assert_eq!(runtime.now().since(Default::default()), SECOND * 3 / 2, "the lease was released");
    assert!(texts.stats().degraded == 0);
}

#[test]
fn panicking_loader_hands_over() {
    on_tokio(async {
        let numbers = Store::memory().cache::<u32>("numbers").build().unwrap();
        let panicking = numbers.clone();
        let panicking = tokio::spawn(async move {
            let load = async || {
                tokio::task::yield_now().await;
                panic!("the loader panics");
            };
            *panicking.get_or_insert_with("k", load).await
        });
        let next = tokio::spawn(async move { *numbers.get_or_insert_with("k", async || 7).await });
        assert!(panicking.await.unwrap_err().is_panic());
        assert_eq!(next.await.unwrap(), 7);
    });
}

#[test]
fn reload_ignores_earlier_load() {
    let (runtime, _, texts) = simulated(1);
    let loads = Loads::default();
    let running = texts.get_or_insert_with("k", async || loads.load_slowly(&runtime, "old").await);
    let reload = async {
        runtime.sleep(SECOND / 2).await;
        let entry = texts.entry("k").reload();
        entry.or_insert_with(async || loads.load_slowly(&runtime, "new").await).await
    };
    let (old, new) = runtime.block_on(join(running, reload));
    assert_eq!((old.as_str(), new.as_str()), ("old", "new"));
    assert_eq!(runtime.block_on(texts.get("k")).unwrap().as_str(), "new");
}

#[test]
fn types_at_one_key_stay_separate() {
    let (runtime, store, texts) = simulated(1);
    // In fastapi-rc's layout several types may share a name.
    let numbers = store.cache::<u32>("texts").key_layout(KeyLayout::FastapiRc).build().unwrap();
    let text = texts.get_or_insert_with("k", async || {
        runtime.sleep(SECOND).await;
        "text".to_owned()
    });
    let number = numbers.get_or_insert_with("k", async || {
        runtime.sleep(SECOND).await;
        7
    });
    let (text, number) = runtime.block_on(join(text, number));
    assert_eq!((text.as_str(), *number), ("text", 7));
}

#[test]
fn long_load_keeps_its_lease() {
    let runtime = SimRuntime::new(1);
    let store = Store::builder().runtime(std::sync::Arc::new(runtime.clone())).build().unwrap();
    let numbers = store.cache::<u32>("numbers").build().unwrap();
    let value = runtime.block_on(numbers.get_or_insert_with("k", async || {
        runtime.sleep(Duration::from_secs(60)).await;
        7
    }));
    assert_eq!(*value, 7);
    assert!(runtime.block_on(numbers.contains_key("k")), "the fill was not refused");
    assert_eq!(numbers.stats().refused, 0);
}

/// Two stores act as two processes: they share only the server.
#[test]
fn two_processes_run_one_loader() {
    on_tokio(async {
        let server = server();
        let loads = Loads::default();
        let mut callers = Vec::new();
        for _ in 0..2 {
            let store = Store::connect(&server.url()).await.unwrap();
            let texts = store.cache::<String>("texts").build().unwrap();
            for _ in 0..50 {
                let (texts, loads) = (texts.clone(), loads.clone());
                callers.push(async move {
                    let load = async || {
                        // Long enough for all others to join, without a clock.
                        for _ in 0..200 {
                            tokio::task::yield_now().await;
                        }
                        loads.load("v").await
                    };
                    texts.get_or_insert_with("k", load).await
                });
            }
        }
        let values = join_all(callers).await;
        assert!(values.iter().all(|value| **value == "v"));
        assert_eq!(loads.count(), 1);
    });
}

/// A loader's error is shared with callers of the same process that joined before the loader
/// began. Other processes only see that the lease is released.
#[test]
fn error_stays_in_its_process() {
    on_tokio(async {
        let server = server();
        let url = server.url();
        let (one, other) =
            (Store::connect(&url).await.unwrap(), Store::connect(&url).await.unwrap());
        let one = one.cache::<u32>("n").build().unwrap();
        let other = other.cache::<u32>("n").build().unwrap();
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let (released, loads) = (released.shared(), Loads::default());
        let failing = join_all((0..10).map(|_| {
            one.get_or_try_insert_with("k", async || {
                loads.load("").await;
                let _ = released.clone().await;
                Err::<u32, _>("down")
            })
        }));
        let elsewhere = async {
            while server.cli(&["EXISTS", "hs:l:{cache:v1:n:k}"]) == "0" {
                tokio::task::yield_now().await;
            }
            let retried = other.get_or_try_insert_with("k", async || {
                assert_eq!(one.stats().load_errors, 1, "it waited");
                Ok::<_, &str>(7)
            });
            let waiting = async {
                while other.stats().misses == 0 {
                    tokio::task::yield_now().await;
                }
                release.send(()).unwrap();
            };
            join(retried, waiting).await.0
        };
        let (failed, retried) = join(failing, elsewhere).await;
        assert!(failed.into_iter().all(|result| result.unwrap_err().loader() == Some(&"down")));
        assert_eq!(loads.count(), 1);
        assert_eq!(*retried.unwrap(), 7);
        assert_eq!((other.stats().loads, other.stats().load_errors), (1, 0));
        assert_eq!(one.get("k").await.as_deref(), Some(&7));
    });
}

#[test]
fn wait_for_other_process_times_out() {
    on_tokio(async {
        let server = server();
        let (one, other) = (
            Store::connect(&server.url()).await.unwrap(),
            Store::connect(&server.url()).await.unwrap(),
        );
        let one = one.cache::<u32>("n").build().unwrap();
        let other =
            other.cache::<u32>("n").wait_timeout(Duration::from_millis(20)).build().unwrap();
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let slow = one.get_or_insert_with("k", async move || {
            let _ = released.await;
            1
        });
        let waiting = async {
            while server.cli(&["EXISTS", "hs:l:{cache:v1:n:k}"]) == "0" {
                tokio::task::yield_now().await;
            }
            let value = *other.get_or_insert_with("k", async || 2).await;
            release.send(()).unwrap();
            value
        };
        let (slow, waiting) = join(slow, waiting).await;
        assert_eq!((*slow, waiting), (1, 2));
        assert_eq!(other.stats().degraded, 1);
        assert_eq!(other.get("k").await.as_deref(), Some(&1), "only the holder stores");
    });
}
