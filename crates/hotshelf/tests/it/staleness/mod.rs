//! Stale values: who gets them, who loads them anew, and when they are never served.

mod backends;
mod context;
mod errors;
mod expiring;
mod inherited;
mod life;
mod refreshing;
mod timeouts;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hotshelf::testing::TestStore;
use hotshelf::{Cache, CacheBuilder, Store};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A cache of numbers that are fresh for a minute, and may be served for ten more.
pub(crate) fn numbers(store: &Store) -> CacheBuilder<u32> {
    store.cache("numbers").time_to_live(MINUTE)
}

pub(crate) fn revalidating(store: &Store) -> Cache<u32> {
    numbers(store).stale_while_revalidate(10 * MINUTE).build().unwrap()
}

pub(crate) fn stale_on_error(store: &Store) -> Cache<u32> {
    numbers(store).stale_if_error(10 * MINUTE).build().unwrap()
}

/// Two processes that share a backend.
pub(crate) fn two_processes(build: fn(&Store) -> Cache<u32>) -> (TestStore, [Cache<u32>; 2]) {
    let test = TestStore::new();
    let caches = [build(test.store()), build(&test.another_store())];
    (test, caches)
}

/// A source whose value and failures a test sets, and that counts its loads.
#[derive(Clone, Default)]
pub(crate) struct Source(Arc<SourceState>);

#[derive(Default)]
struct SourceState {
    value: AtomicU32,
    fails: std::sync::atomic::AtomicBool,
    loads: AtomicU32,
}

impl Source {
    pub(crate) fn set(&self, value: u32) {
        self.0.value.store(value, Ordering::SeqCst);
    }

    pub(crate) fn fail(&self, fails: bool) {
        self.0.fails.store(fails, Ordering::SeqCst);
    }

    pub(crate) fn loads(&self) -> u32 {
        self.0.loads.load(Ordering::SeqCst)
    }

    pub(crate) async fn load(&self) -> Result<u32, &'static str> {
        self.0.loads.fetch_add(1, Ordering::SeqCst);
        let value = self.0.value.load(Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.0.fails.load(Ordering::SeqCst) { Err("the database is down") } else { Ok(value) }
    }

    /// Loads a key in one call of its own, which may wait for the loader.
    pub(crate) async fn get(&self, cache: &Cache<u32>) -> Result<u32, &'static str> {
        let loaded = cache.get_or_try_insert_with("k", async || self.load().await).await;
        loaded.map(|value| *value).map_err(|error| *error.loader().expect("no limit applies"))
    }

    /// Loads a key in the background if there is a value.
    pub(crate) async fn get_apart(&self, cache: &Cache<u32>) -> Result<u32, &'static str> {
        let source = self.clone();
        let load = move |_| async move { source.load().await };
        let loaded = cache.entry("k").or_refresh_with(load).await;
        loaded.map(|value| *value).map_err(|error| *error.loader().expect("no limit applies"))
    }
}

/// Lets what runs in the background end.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
