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

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotshelf_core::backend::{Answer, Layer, Operation, Result};
use hotshelf_core::sync::Mutex;
use hotshelf_core::{Backend, BoxFuture, Error, ErrorKind, Moment, Runtime};
use hotshelf_memory::{DEFAULT_CAPACITY, MemoryBackend};

use crate::runtime::TokioRuntime;
use crate::store::Store;

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

/// A fault of one operation of a [`TestStore`]'s backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The operation fails without being executed.
    Fail(ErrorKind),
    /// The operation is executed, but its answer is lost: the caller gets the error.
    LoseAnswer(ErrorKind),
    /// The operation is executed after this delay in tokio's time, which `tokio::time::pause`
    /// can skip. After a delay beyond the default deadlines of a server (100 ms for reads and
    /// leases, 250 ms for writes and invalidations) it isn't executed, and fails with
    /// [`ErrorKind::Timeout`] at that deadline.
    Delay(Duration),
}

impl TestStore {
    /// Creates an empty store without faults.
    #[must_use]
    pub fn new() -> Self {
        let runtime = Arc::new(TestRuntime::default());
        let shared = Arc::clone(&runtime) as Arc<dyn Runtime>;
        let memory = MemoryBackend::new(DEFAULT_CAPACITY, Arc::clone(&shared));
        let backend = Arc::new(ScriptedBackend {
            memory,
            runtime: shared,
            script: Mutex::new(Arc::new(|_| None)),
        });
        let store = store_on(&backend, &runtime);
        Self { store, runtime, backend }
    }

    /// Returns the store, to build caches on.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Creates another store on the same backend, as another process would have it. The stores
    /// share entries, leases, time and faults, but neither loads in flight nor counters.
    #[must_use]
    pub fn another_store(&self) -> Store {
        store_on(&self.backend, &self.runtime)
    }

    /// Advances the time of entries and leases.
    ///
    /// Timers that your code awaits, and waiting for another process's load, use tokio's time:
    /// control that with `tokio::time::pause`.
    pub fn advance(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let later = |now: u64| Some(now.saturating_add(nanos));
        let _ = self.runtime.nanos.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
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
        *self.backend.script.lock() = Arc::new(script);
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

/// tokio's runtime with simulated time and deterministic randomness.
#[derive(Debug)]
struct TestRuntime {
    /// The time since the start, in nanoseconds: enough for 584 years.
    nanos: AtomicU64,
    /// The state of a SplitMix64 generator (Steele, Lea and Flood, OOPSLA 2014). Its outputs
    /// never repeat, as tokens and versions require.
    random: AtomicU64,
    tokio: TokioRuntime,
}

impl Default for TestRuntime {
    fn default() -> Self {
        let (nanos, random) = (AtomicU64::default(), AtomicU64::default());
        Self { nanos, random, tokio: TokioRuntime::new() }
    }
}

impl Runtime for TestRuntime {
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
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.random.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

type Script = Arc<dyn Fn(&Operation<'_>) -> Option<Fault> + Send + Sync>;

/// A backend whose operations, except for `close`, fail and delay as a script decides.
struct ScriptedBackend {
    memory: MemoryBackend,
    runtime: Arc<dyn Runtime>,
    script: Mutex<Script>,
}

impl Layer for ScriptedBackend {
    type Inner = MemoryBackend;

    fn inner(&self) -> Result<impl Deref<Target = MemoryBackend> + Send> {
        Ok(&self.memory)
    }

    fn around<'a, A: Answer + 'a>(
        &'a self,
        operation: Operation<'a>,
        run: BoxFuture<'a, A>,
    ) -> BoxFuture<'a, A> {
        if matches!(operation, Operation::Close) {
            return run;
        }
        let script = Arc::clone(&self.script.lock());
        let failure =
            move |kind| A::failure(operation, Error::new(kind, "fault injected by the test"));
        match script(&operation) {
            None => run,
            Some(Fault::Fail(kind)) => Box::pin(std::future::ready(failure(kind))),
            Some(Fault::LoseAnswer(kind)) => Box::pin(async move {
                drop(run.await);
                failure(kind)
            }),
            Some(Fault::Delay(duration)) => Box::pin(async move {
                let deadline = deadline(&operation);
                self.runtime.sleep(duration.min(deadline)).await;
                if duration > deadline { failure(ErrorKind::Timeout) } else { run.await }
            }),
        }
    }
}

/// Returns the deadline that an operation has by default on a server.
fn deadline(operation: &Operation<'_>) -> Duration {
    match operation {
        Operation::Read(_) | Operation::Remaining(_) => READ_TIMEOUT,
        Operation::Acquire(_) | Operation::AcquireMany(_) => READ_TIMEOUT,
        Operation::Capture(_) | Operation::CaptureWithAge(_) => READ_TIMEOUT,
        Operation::Ping | Operation::Info => READ_TIMEOUT,
        _ => STORE_TIMEOUT,
    }
}

const READ_TIMEOUT: Duration = Duration::from_millis(100);
const STORE_TIMEOUT: Duration = Duration::from_millis(250);

impl fmt::Debug for ScriptedBackend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ScriptedBackend")
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
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
