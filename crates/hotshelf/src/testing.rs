//! A store for your own tests: its time stands still until you move it, and its backend
//! fails when you say so.
//!
//! ```
//! use std::time::Duration;
//! use hotshelf::testing::TestStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), hotshelf::Error> {
//! let test = TestStore::new();
//! let prices = test.store().cache::<u32>("prices").time_to_live(Duration::from_secs(60)).build()?;
//! prices.insert("lamp", 5).await;
//!
//! test.fail(true);
//! assert_eq!(prices.get("lamp").await, None);
//! assert_eq!(*prices.get_or_insert_with("lamp", async || 6).await, 6);
//!
//! test.fail(false);
//! assert_eq!(prices.get("lamp").await.as_deref(), Some(&5));
//! test.advance(Duration::from_secs(70));
//! assert_eq!(prices.get("lamp").await, None);
//! # Ok(())
//! # }
//! ```

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hotshelf_core::backend::{Answer, Layer, Operation, Result};
use hotshelf_core::{Backend, BoxFuture, Error, ErrorKind, Moment, Runtime};
use hotshelf_memory::{DEFAULT_CAPACITY, MemoryBackend};

use crate::runtime::TokioRuntime;
use crate::store::Store;

/// A store in memory whose time and failures a test decides.
#[derive(Debug)]
pub struct TestStore {
    store: Store,
    clock: Arc<Clock>,
    backend: Arc<FaultyBackend>,
}

impl TestStore {
    /// Makes an empty store that works.
    #[must_use]
    pub fn new() -> Self {
        let clock = Arc::new(Clock { nanos: AtomicU64::default(), tokio: TokioRuntime::new() });
        let runtime: Arc<dyn Runtime> = Arc::clone(&clock) as Arc<dyn Runtime>;
        let memory = MemoryBackend::new(DEFAULT_CAPACITY, Arc::clone(&runtime));
        let backend = Arc::new(FaultyBackend { memory, fails: AtomicBool::new(false) });
        let builder = Store::builder().backend(Arc::clone(&backend) as Arc<dyn Backend>);
        let store = builder.runtime(runtime).build().expect("a backend that is given needs no URL");
        Self { store, clock, backend }
    }

    /// Gives the store, to build caches on.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Lets time pass for entries and leases.
    ///
    /// What your code awaits, and the wait for another process's load, still take the time
    /// of tokio: `tokio::time::pause` is for those.
    pub fn advance(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let later = |now: u64| Some(now.saturating_add(nanos));
        let _ = self.clock.nanos.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    /// Sets whether every operation fails as if the server were away. What is stored stays.
    pub fn fail(&self, fails: bool) {
        self.backend.fails.store(fails, Ordering::Relaxed);
    }
}

impl Default for TestStore {
    fn default() -> Self {
        Self::new()
    }
}

/// tokio, but for the time.
#[derive(Debug)]
struct Clock {
    /// The time since the start, in nanoseconds: enough for 584 years.
    nanos: AtomicU64,
    tokio: TokioRuntime,
}

impl Runtime for Clock {
    fn now(&self) -> Moment {
        Moment::after_start(Duration::from_nanos(self.nanos.load(Ordering::Relaxed)))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.tokio.sleep(duration)
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.tokio.spawn(future);
    }

    fn random(&self) -> u64 {
        self.tokio.random()
    }
}

/// A backend that fails on demand, except for `close`.
#[derive(Debug)]
struct FaultyBackend {
    memory: MemoryBackend,
    fails: AtomicBool,
}

impl Layer for FaultyBackend {
    type Inner = MemoryBackend;

    fn inner(&self) -> Result<impl Deref<Target = MemoryBackend> + Send> {
        Ok(&self.memory)
    }

    fn around<'a, A: Answer + 'a>(
        &'a self,
        operation: Operation<'a>,
        run: BoxFuture<'a, A>,
    ) -> BoxFuture<'a, A> {
        if matches!(operation, Operation::Close) || !self.fails.load(Ordering::Relaxed) {
            return run;
        }
        let error = Error::new(ErrorKind::Unavailable, "unavailable, as set by `TestStore::fail`");
        Box::pin(std::future::ready(A::failure(operation, error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_fails_is_counted_and_loads_go_on() {
        let test = TestStore::new();
        let cache = test.store().cache::<u32>("n").build().unwrap();
        test.fail(true);
        assert_eq!(*cache.get_or_insert_with("k", async || 1).await, 1);
        assert_eq!(cache.invalidate("k").await.unwrap_err().kind(), ErrorKind::Unavailable);
        cache.insert_many([("a", 1), ("b", 2)]).await;
        assert_eq!(cache.stats().degraded, 1);
        test.fail(false);
        assert_eq!(cache.get_many(["a", "b", "k"]).await, [None, None, None]);
    }

    #[tokio::test]
    async fn time_passes_for_leases_too() {
        let test = TestStore::new();
        let cache = test.store().cache::<u32>("n").build().unwrap();
        let load = async || {
            test.advance(Duration::from_secs(6));
            1
        };
        assert_eq!(*cache.get_or_insert_with("k", load).await, 1);
        assert_eq!(cache.stats().refused, 1, "the loader outlived its lease");
    }
}
