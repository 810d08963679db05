//! A store for the tests of your application: its time is simulated, its lifetimes have no
//! jitter, and its backend fails and delays on demand.
//!
//! ```
//! use std::time::Duration;
//! use hotshelf::testing::TestStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), hotshelf::Error> {
//! let test = TestStore::new();
//! let prices = test.store().cache::<u32>("prices").time_to_live(Duration::from_secs(60)).build()?;
//! assert_eq!(*prices.get_or_insert_with("lamp", async || 5).await, 5);
//! assert_eq!(*prices.get_or_insert_with("lamp", async || 6).await, 5);
//! assert_eq!(prices.stats().loads, 1);
//!
//! test.fail(true);
//! assert_eq!(prices.get("lamp").await, None);
//! assert_eq!(*prices.get_or_insert_with("lamp", async || 6).await, 6);
//!
//! test.fail(false);
//! test.advance(Duration::from_secs(59));
//! assert_eq!(prices.get("lamp").await.as_deref(), Some(&5));
//! test.advance(Duration::from_secs(1));
//! assert_eq!(prices.get("lamp").await, None);
//! # Ok(())
//! # }
//! ```
//!
//! A second store on the same backend acts as another process:
//!
//! ```
//! # use hotshelf::testing::TestStore;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), hotshelf::Error> {
//! let test = TestStore::new();
//! let other = test.another_store();
//! let [mine, theirs] = [test.store(), &other].map(|store| store.cache::<u32>("prices").build());
//! let (mine, theirs) = (mine?, theirs?);
//! mine.insert("lamp", 5).await;
//! assert_eq!(theirs.get("lamp").await.as_deref(), Some(&5));
//! theirs.invalidate("lamp").await?;
//! assert_eq!(mine.get("lamp").await, None);
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::backend::Operation;
use hotshelf_core::{Backend, ErrorKind, Runtime};
pub use hotshelf_memory::testing::Fault;
use hotshelf_memory::testing::{ScriptedBackend, SimulatedTime};

use crate::runtime::TokioRuntime;
use crate::store::Store;

/// tokio's runtime with simulated time and deterministic randomness.
type TestRuntime = SimulatedTime<TokioRuntime>;

/// A store in memory with simulated time and injected failures.
///
/// It is deterministic: two runs of a test see the same lifetimes and tokens. Its caches have
/// no jitter unless they set one.
#[derive(Debug)]
pub struct TestStore {
    store: Store,
    runtime: Arc<TestRuntime>,
    backend: Arc<ScriptedBackend>,
}

impl TestStore {
    /// Creates an empty store without faults.
    #[must_use]
    pub fn new() -> Self {
        let runtime = Arc::new(TestRuntime::new(TokioRuntime::new()));
        let backend = Arc::new(ScriptedBackend::new(Arc::clone(&runtime) as Arc<dyn Runtime>));
        let store = store_on(&backend, &runtime);
        Self { store, runtime, backend }
    }

    /// Returns the store, to build caches on.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Creates another store on the same backend, as another process would have it. The stores
    /// share entries, leases, time and faults, but neither loads in flight nor counters, and
    /// each is closed by itself.
    #[must_use]
    pub fn another_store(&self) -> Store {
        store_on(&Arc::new(self.backend.another()), &self.runtime)
    }

    /// Advances the time of entries and leases.
    ///
    /// Timers that your code awaits, and waiting for another process's load, use tokio's time:
    /// control that with `tokio::time::pause`.
    pub fn advance(&self, duration: Duration) {
        self.runtime.advance(duration);
    }

    /// Sets whether every operation fails as if the server were unreachable. Entries remain
    /// stored.
    ///
    /// Replaces the faults that [`TestStore::inject`] has set.
    pub fn fail(&self, fails: bool) {
        self.inject(move |_| fails.then_some(Fault::Fail(ErrorKind::Unavailable)));
    }

    /// Sets a function that returns the fault of each operation, or `None` to execute it
    /// normally. Default: no faults.
    ///
    /// ```
    /// use hotshelf::ErrorKind;
    /// use hotshelf::backend::Operation;
    /// use hotshelf::testing::{Fault, TestStore};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), hotshelf::Error> {
    /// let test = TestStore::new();
    /// let prices = test.store().cache::<u32>("prices").build()?;
    /// prices.insert("lamp", 5).await;
    /// test.inject(|operation| match operation {
    ///     Operation::Invalidate(_) => Some(Fault::LoseAnswer(ErrorKind::Timeout)),
    ///     _ => None,
    /// });
    /// assert!(prices.invalidate("lamp").await.is_err());
    /// assert_eq!(prices.get("lamp").await, None, "it was executed");
    /// # Ok(())
    /// # }
    /// ```
    pub fn inject(&self, script: impl Fn(&Operation<'_>) -> Option<Fault> + Send + Sync + 'static) {
        self.backend.inject(script);
    }
}

impl Default for TestStore {
    fn default() -> Self {
        Self::new()
    }
}

fn store_on(backend: &Arc<ScriptedBackend>, runtime: &Arc<TestRuntime>) -> Store {
    let builder = Store::builder().backend(Arc::clone(backend) as Arc<dyn Backend>);
    let builder = builder.runtime(Arc::clone(runtime) as Arc<dyn Runtime>).without_jitter();
    builder.build().expect("a store with a backend needs no URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failures_are_counted_and_loads_run() {
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
    async fn advance_expires_leases() {
        let test = TestStore::new();
        let cache = test.store().cache::<u32>("n").build().unwrap();
        let load = async || {
            test.advance(Duration::from_secs(6));
            1
        };
        assert_eq!(*cache.get_or_insert_with("k", load).await, 1);
        assert_eq!(cache.stats().refused, 1, "the loader outlived its lease");
    }

    #[tokio::test]
    async fn lifetimes_have_no_jitter() {
        let test = TestStore::new();
        let ttl = Duration::from_secs(60);
        let cache = test.store().cache::<u32>("n").time_to_live(ttl).build().unwrap();
        cache.insert_many((0..100).map(|key| (key, key))).await;
        test.advance(ttl - Duration::from_millis(1));
        assert!(cache.get_many(0..100).await.iter().all(Option::is_some));
        test.advance(Duration::from_millis(1));
        assert!(cache.get_many(0..100).await.iter().all(Option::is_none));
    }

    #[tokio::test(start_paused = true)]
    async fn operations_fail_and_delay_separately() {
        let test = TestStore::new();
        let cache = test.store().cache::<u32>("n").build().unwrap();
        test.inject(|operation| match operation {
            Operation::Acquire(_) => Some(Fault::Delay(Duration::from_millis(20))),
            Operation::Store(_) => Some(Fault::Fail(ErrorKind::OutOfMemory)),
            _ => None,
        });
        let began = tokio::time::Instant::now();
        assert_eq!(*cache.get_or_insert_with("k", async || 1).await, 1);
        assert_eq!(began.elapsed().as_millis(), 20);
        assert_eq!(cache.get("k").await, None);
        test.fail(false);
        assert_eq!(*cache.get_or_insert_with("k", async || 2).await, 2);
        assert_eq!(cache.get("k").await.as_deref(), Some(&2));
    }

    #[tokio::test]
    async fn stores_are_closed_by_themselves() {
        let test = TestStore::new();
        let other = test.another_store();
        let [one, two] =
            [test.store(), &other].map(|store| store.cache::<u32>("n").build().unwrap());
        one.insert("k", 1).await;
        test.store().close().await;
        assert_eq!(one.get("k").await, None);
        assert_eq!(two.get("k").await.as_deref(), Some(&1));
    }

    #[tokio::test]
    async fn stores_on_one_backend_share_loads() {
        let test = TestStore::new();
        let other = test.another_store();
        let (one, other) = (test.store(), &other);
        let [one, other] = [one, other].map(|store| store.cache::<u32>("n").build().unwrap());
        let load = async || {
            tokio::task::yield_now().await;
            1
        };
        let (one_s, other_s) = futures_util::future::join(
            one.get_or_insert_with("k", load),
            other.get_or_insert_with("k", load),
        )
        .await;
        assert_eq!((*one_s, *other_s), (1, 1));
        assert_eq!(one.stats().loads + other.stats().loads, 1);
    }
}
