//! Loads of many keys.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{join, join_all};
use hotshelf::testing::TestStore;
use hotshelf::{Cache, LoadError, Store};
use hotshelf_testkit::RedisCluster;

use crate::support::{on_each_backend, on_tokio};

const MINUTE: Duration = Duration::from_secs(60);

fn numbers(store: &Store) -> Cache<u64> {
    store.cache("numbers").negative_ttl(MINUTE).build().unwrap()
}

/// The squares of even numbers; odd ones have no value.
#[derive(Default)]
struct Squares {
    calls: RefCell<Vec<Vec<u64>>>,
    loads: RefCell<HashMap<u64, u32>>,
}

impl Squares {
    async fn load(&self, keys: Vec<u64>) -> Result<Vec<(u64, u64)>, &'static str> {
        for key in &keys {
            *self.loads.borrow_mut().entry(*key).or_default() += 1;
        }
        self.calls.borrow_mut().push(keys.clone());
        tokio::task::yield_now().await;
        Ok(keys.into_iter().filter(|key| key % 2 == 0).map(|key| (key, key * key)).collect())
    }

    async fn get(
        &self,
        cache: &Cache<u64>,
        keys: impl IntoIterator<Item = u64>,
    ) -> Vec<Option<u64>> {
        let found = cache.get_or_load_many(keys, async |keys| self.load(keys).await).await;
        found.unwrap().into_iter().map(|value| value.map(|value| *value)).collect()
    }
}

/// As in handlers: the loader borrows from the task, and the task moves between threads.
#[tokio::test]
async fn loaders_that_borrow_run_in_spawned_tasks() {
    let cache = numbers(&Store::memory());
    let database = std::sync::Arc::new(HashMap::from([(2, 4)]));
    let loading = async move {
        let database = &*database;
        let find = |keys: Vec<u64>| async move {
            tokio::task::yield_now().await;
            let found = keys.into_iter().filter_map(|key| Some((key, *database.get(&key)?)));
            Ok::<_, LoadError<&str>>(found.collect::<Vec<(u64, u64)>>())
        };
        let found = cache.get_or_load_many([2, 3], find).await.unwrap();
        let load = |key: u64| async move {
            tokio::task::yield_now().await;
            database.get(&(key - 2)).copied().ok_or("unknown")
        };
        (found, cache.warm([4], load).run().await.loaded)
    };
    let (found, warmed) = tokio::spawn(loading).await.unwrap();
    assert_eq!((found, warmed), (vec![Some(4.into()), None], 1));
}

#[test]
fn missing_keys_are_loaded_by_one_call() {
    on_each_backend(async |store| {
        let cache = numbers(&store);
        let squares = Squares::default();
        cache.insert(4, 16).await;
        let found = squares.get(&cache, [2, 4, 3, 2, 6]).await;
        assert_eq!(found, [Some(4), Some(16), None, Some(4), Some(36)]);
        assert_eq!(*squares.calls.borrow(), [[2, 3, 6]]);
        // Negatives are cached, too.
        let found = squares.get(&cache, [6, 3, 4, 2]).await;
        assert_eq!(found, [Some(36), None, Some(16), Some(4)]);
        assert_eq!(squares.calls.borrow().len(), 1);
        assert_eq!(squares.get(&cache, []).await, []);
        assert_eq!(cache.get(2).await.as_deref(), Some(&4));
        assert_eq!(cache.stats().loads, 3);
    });
}

#[test]
fn ten_thousand_keys() {
    on_each_backend(async |store| {
        let cache = numbers(&store);
        let squares = Squares::default();
        for _ in 0..2 {
            let found = squares.get(&cache, 0..10_000).await;
            assert_eq!(found.len(), 10_000);
            let expected = |key: usize| key.is_multiple_of(2).then_some((key * key) as u64);
            assert!(found.into_iter().enumerate().all(|(key, value)| value == expected(key)));
        }
        assert_eq!(squares.calls.borrow().len(), 1);
        assert_eq!(cache.stats().errors, 0);
    });
}

#[test]
fn in_a_cluster() {
    on_tokio(async {
        let cluster = RedisCluster::start().unwrap();
        let cache = numbers(&Store::connect(&cluster.url()).await.unwrap());
        let squares = Squares::default();
        for _ in 0..2 {
            assert_eq!(squares.get(&cache, 0..100).await.iter().flatten().count(), 50);
        }
        assert_eq!(squares.calls.borrow().len(), 1);
    });
}

/// Two batches with the same keys in opposite order would wait for each other for ever.
#[test]
fn batches_share_loads_and_never_wait_for_each_other() {
    on_each_backend(async |store| {
        let (cache, squares) = (&numbers(&store), &Squares::default());
        let batches = (0..8_u64).map(|batch| {
            let keys: Vec<u64> = (0..50).map(|key| (key * 7 + batch * 13) % 50).collect();
            async move {
                let found = squares.get(cache, keys.clone()).await;
                for (key, value) in keys.iter().zip(found) {
                    assert_eq!(value, (key % 2 == 0).then_some(key * key));
                }
            }
        });
        join_all(batches).await;
        assert!(squares.loads.borrow().values().all(|loads| *loads == 1));
        assert_eq!(cache.stats().degraded, 0);
    });
}

#[tokio::test]
async fn processes_share_loads() {
    let test = TestStore::new();
    let [one, other] = [test.store(), &test.another_store()].map(numbers);
    let squares = Squares::default();
    let (forwards, backwards): (Vec<u64>, Vec<u64>) = ((0..20).collect(), (0..20).rev().collect());
    let single = async {
        *one.get_or_insert_with(8, async || squares.load(vec![8]).await.unwrap()[0].1).await
    };
    let batches = join(squares.get(&one, forwards), squares.get(&other, backwards));
    let (single, (forwards, backwards)) = join(single, batches).await;
    assert_eq!(single, 64);
    assert!(forwards.iter().eq(backwards.iter().rev()));
    assert!(squares.loads.borrow().values().all(|loads| *loads == 1), "{:?}", squares.loads);
}

/// The load of another caller fails, and this one goes on with its key.
#[tokio::test]
async fn key_that_another_caller_leaves_is_loaded() {
    let test = TestStore::new();
    let [one, other] = [test.store(), &test.another_store()].map(numbers);
    for cache in [&one, &other] {
        let squares = Squares::default();
        let failing = async {
            let load = async || {
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                Err::<u64, _>("down")
            };
            one.get_or_try_insert_with(4, load).await
        };
        let (failed, found) = join(failing, squares.get(cache, [2, 4])).await;
        assert!(failed.is_err());
        assert_eq!(found, [Some(4), Some(16)]);
        cache.invalidate_many([2_u64, 4]).await.unwrap();
    }
}

#[tokio::test]
async fn dropped_batch_hands_its_loads_over() {
    let test = TestStore::new();
    let cache = numbers(test.store());
    let squares = Squares::default();
    let stuck = async || {
        cache
            .get_or_load_many([2, 4], async |_| {
                std::future::pending::<Result<Vec<(u64, u64)>, &str>>().await
            })
            .await
    };
    let batch = Box::pin(stuck());
    let waiting = squares.get(&cache, [4, 2]);
    let dropping = async {
        let timeout = tokio::time::timeout(Duration::from_millis(20), batch).await;
        assert!(timeout.is_err());
    };
    let ((), found) = join(dropping, waiting).await;
    assert_eq!(found, [Some(16), Some(4)]);
}

#[tokio::test]
async fn lost_key_does_not_lose_the_others() {
    let test = TestStore::new();
    let [cache, other] = [test.store(), &test.another_store()].map(numbers);
    let squares = Squares::default();
    let found = cache.get_or_load_many([2, 4, 6], async |keys: Vec<u64>| {
        other.invalidate(4).await.unwrap();
        squares.load(keys).await
    });
    let found: Vec<_> = found.await.unwrap().into_iter().map(|value| *value.unwrap()).collect();
    assert_eq!(found, [4, 16, 36]);
    let stored = cache.get_many([2, 4, 6]).await;
    assert_eq!(stored.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(cache.stats().refused, 1);
}

#[tokio::test]
async fn tags_of_the_cache_belong_to_each_entry() {
    let test = TestStore::new();
    let other = test.another_store();
    let build = |store: &Store| {
        let builder = store.cache::<u64>("tagged").epoch(true);
        builder.tags(|key| [format!("tag:{}", key.identifier())]).build().unwrap()
    };
    let (cache, other_cache) = (build(test.store()), build(&other));
    let squares = Squares::default();
    let load = async |keys: Vec<u64>| {
        other.invalidate_tag("tag:4").await.unwrap();
        squares.load(keys).await
    };
    cache.get_or_load_many([2, 4, 6], load).await.unwrap();
    let stored = other_cache.get_many([2, 4, 6]).await;
    assert_eq!(stored.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    other.invalidate_tag("tag:6").await.unwrap();
    assert_eq!(squares.get(&cache, [2, 4, 6]).await, [Some(4), Some(16), Some(36)]);
    assert_eq!(squares.calls.borrow()[1], [4, 6]);
    other_cache.invalidate_all().await.unwrap();
    squares.get(&cache, [2, 4, 6]).await;
    assert_eq!(squares.calls.borrow()[2], [2, 4, 6]);
}

#[tokio::test]
async fn errors_and_stale_values() {
    let test = TestStore::new();
    let build = |store: &Store| {
        let builder = store.cache::<u64>("n").time_to_live(MINUTE).stale_if_error(MINUTE);
        builder.stale_while_revalidate(MINUTE / 2).build().unwrap()
    };
    let [cache, other] = [test.store(), &test.another_store()].map(build);
    let calls = Cell::new(0);
    let down = async |_: Vec<u64>| {
        calls.set(calls.get() + 1);
        Err::<Vec<(u64, u64)>, _>("down")
    };
    let failed = cache.get_or_load_many([1, 2], down).await;
    assert_eq!(failed.unwrap_err(), LoadError::Failed("down".into()));
    for key in [1, 2] {
        cache.insert(key, key).await;
    }
    for (age, loads) in [(MINUTE, 2), (MINUTE / 2, 3)] {
        test.advance(age);
        for cache in [&cache, &other] {
            let found = cache.get_or_load_many([1, 2], down).await.unwrap();
            assert_eq!(found, [Some(1.into()), Some(2.into())]);
        }
        assert_eq!(calls.get(), loads, "once in 30 s, over all processes");
    }
    // With a key that has no value, there is no answer.
    assert!(cache.get_or_load_many([1, 3], down).await.is_err());
    cache.invalidate(1).await.unwrap();
    assert!(other.get_or_load_many([1, 2], down).await.is_err());
}

#[tokio::test]
async fn stale_values_are_counted_when_they_are_served() {
    let test = TestStore::new();
    let builder = test.store().cache::<u64>("n").time_to_live(MINUTE);
    let builder = builder.stale_while_revalidate(MINUTE).stale_if_error(MINUTE);
    let cache = builder.jitter(hotshelf::Jitter::NONE).build().unwrap();
    for (loaded, stale) in [(Ok(7), 0), (Err("down"), 1)] {
        cache.insert(1, 1).await;
        test.advance(MINUTE + MINUTE / 2);
        let load = async |_| loaded.map(|value| [(1, value)]);
        let found = cache.get_or_load_many([1], load).await.unwrap();
        assert_eq!(found, [Some(loaded.unwrap_or(1).into())]);
        assert_eq!(cache.stats().stale, stale, "{loaded:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn batch_has_a_hard_timeout() {
    let test = TestStore::new();
    let cache = test.store().cache::<u64>("n").hard_timeout(MINUTE).build().unwrap();
    let load = async |_| std::future::pending::<Result<Vec<(u64, u64)>, ()>>().await;
    let limited = cache.get_or_load_many([1, 2], load).await;
    assert_eq!(limited, Err(LoadError::TimedOut));
    assert_eq!(*cache.get_or_insert_with(1, async || 7).await, 7);
    assert_eq!(cache.get(1).await.as_deref(), Some(&7), "its leases were released");
}

#[tokio::test]
async fn failing_backend_costs_loads_only() {
    let test = TestStore::new();
    let cache = numbers(test.store());
    let squares = Squares::default();
    test.fail(true);
    assert_eq!(squares.get(&cache, [2, 3]).await, [Some(4), None]);
    assert_eq!(cache.stats().degraded, 2);
    test.store().set_enabled(false);
    test.fail(false);
    assert_eq!(squares.get(&cache, [2, 3, 2]).await, [Some(4), None, Some(4)]);
    assert_eq!(*squares.calls.borrow(), [[2, 3], [2, 3]]);
}

/// A loader that asks for keys of its own batch would wait for itself.
#[tokio::test]
async fn loader_may_ask_for_keys_of_its_batch() {
    let test = TestStore::new();
    let cache = numbers(test.store());
    let found = cache.get_or_load_many([1, 2], async |_| {
        let inner = cache.get_or_load_many([2, 1], async |keys: Vec<u64>| {
            Ok::<_, ()>(keys.into_iter().map(|key| (key, 10 * key)).collect::<Vec<_>>())
        });
        let inner = inner.await.unwrap();
        Ok::<_, ()>([2, 1].into_iter().zip(inner.into_iter().flatten()).collect::<Vec<_>>())
    });
    assert_eq!(found.await.unwrap(), [Some(10.into()), Some(20.into())]);
}

#[tokio::test]
async fn stale_value_whose_lease_is_not_to_be_had_is_served() {
    use hotshelf::backend::Operation;
    use hotshelf::testing::Fault;

    let mut loads = Vec::new();
    for held in [false, true] {
        let test = TestStore::new();
        let second = Duration::from_secs(1);
        let builder = test.store().cache::<u64>("n").time_to_live(second);
        let builder = builder.stale_while_revalidate(MINUTE);
        let cache = if held { builder.hold(MINUTE) } else { builder }.build().unwrap();
        cache.insert(1, 1).await;
        test.advance(2 * second);
        if !held {
            test.inject(|operation| {
                let asks = matches!(operation, Operation::Acquire(_) | Operation::AcquireMany(_));
                asks.then_some(Fault::Fail(hotshelf::ErrorKind::Unavailable))
            });
        }
        let calls = Cell::new(0);
        for _ in 0..3 {
            let load = async |keys: Vec<u64>| {
                calls.set(calls.get() + 1);
                Ok::<_, ()>(keys.into_iter().map(|key| (key, 0)).collect::<Vec<_>>())
            };
            cache.get_or_load_many([1], load).await.unwrap();
        }
        // As for a single call.
        let single = async || {
            calls.set(calls.get() + 1);
            0
        };
        test.advance(second);
        assert_eq!(*cache.get_or_insert_with(1, single).await, 1);
        loads.push(calls.get());
    }
    assert_eq!(loads, [0, 0]);
}

#[test]
fn near_hits_of_a_batch_are_hits() {
    on_tokio(async {
        let server = crate::support::server();
        let builder = Store::builder().url(server.url()).near(hotshelf::NearOptions::default());
        let store = builder.build().unwrap();
        let builder = store.cache::<u64>("n").time_to_live(Duration::from_millis(300));
        let cache = builder.jitter(hotshelf::Jitter::NONE).stale_if_error(MINUTE).build().unwrap();
        cache.insert(1, 1).await;
        assert!(cache.get(1).await.is_some() && cache.get(1).await.is_some());
        let before = cache.stats();
        crate::support::pause(Duration::from_millis(400)).await;
        let down = async |_| Err::<Vec<(u64, u64)>, _>("down");
        cache.get_or_load_many([1], down).await.unwrap();
        let after = cache.stats();
        assert_eq!(after.near_hits - before.near_hits, after.hits - before.hits, "{after:?}");
    });
}
