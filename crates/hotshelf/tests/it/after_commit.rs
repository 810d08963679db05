//! Invalidations that belong to a transaction.

use std::future::pending;
use std::time::Duration;

use futures_util::FutureExt;
use hotshelf::testing::TestStore;
use hotshelf::{AfterCommit, Cache, Store};

use crate::support::{on_each_backend, pause};

type Commit = Result<u32, &'static str>;

async fn filled(store: &Store) -> Cache<u32> {
    let cache = store.cache("numbers").build().unwrap();
    for key in ["a", "b", "c"] {
        cache.insert(key, 1).await;
    }
    cache.entry("tagged").tags(["t"]).insert(1).await;
    cache
}

fn changes(store: &Store, cache: &Cache<u32>) -> AfterCommit {
    let mut changes = AfterCommit::new();
    changes.invalidate(cache, "a").invalidate(cache, "b").invalidate_tag(store, "t");
    changes
}

async fn found(cache: &Cache<u32>) -> [bool; 4] {
    let found = cache.get_many(["a", "b", "c", "tagged"]).await;
    std::array::from_fn(|at| found[at].is_some())
}

#[test]
fn entries_are_invalidated_after_the_commit() {
    on_each_backend(async |store| {
        for fails in [false, true] {
            let cache = filled(&store).await;
            let commit = async {
                assert_eq!(found(&cache).await, [true; 4], "not before it");
                if fails { Commit::Err("connection lost") } else { Ok(5) }
            };
            match changes(&store, &cache).commit(commit).await {
                Ok(committed) => assert!(committed.value == 5 && committed.invalidated.is_ok()),
                Err(error) => assert!(fails, "{error}"),
            }
            assert_eq!(found(&cache).await, [false, false, true, false]);
        }
    });
}

#[test]
fn dropped_changes_invalidate_nothing() {
    on_each_backend(async |store| {
        let cache = filled(&store).await;
        drop(changes(&store, &cache));
        drop(changes(&store, &cache).commit(async { Commit::Ok(1) }));
        assert_eq!(found(&cache).await, [true; 4], "it was never polled");
    });
}

/// The database may have committed.
#[test]
fn cancelled_commit_invalidates() {
    on_each_backend(async |store| {
        let cache = filled(&store).await;
        let committing = changes(&store, &cache).commit(pending::<Commit>());
        assert!(committing.now_or_never().is_none());
        for _ in 0..1_000 {
            if found(&cache).await == [false, false, true, false] {
                return;
            }
            pause(Duration::from_millis(2)).await;
        }
        panic!("never invalidated");
    });
}

#[tokio::test]
async fn failed_invalidation_is_reported_beside_the_value() {
    let test = TestStore::new();
    let cache = filled(test.store()).await;
    test.fail(true);
    let committed = changes(test.store(), &cache).commit(async { Commit::Ok(5) }).await.unwrap();
    assert_eq!(committed.value, 5);
    assert!(committed.invalidated.is_err());
    assert!(AfterCommit::new().is_empty() && !changes(test.store(), &cache).is_empty());
}

#[tokio::test]
async fn commits_run_in_spawned_tasks() {
    let store = Store::memory();
    let cache = filled(&store).await;
    let changes = changes(&store, &cache);
    let committing = tokio::spawn(changes.commit(async { Commit::Ok(5) }));
    assert!(committing.await.unwrap().is_ok());
    assert_eq!(found(&cache).await, [false, false, true, false]);
}
