//! A backend and a runtime for tests: operations fail and delay as a script decides, and time is
//! simulated. `hotshelf::testing` and the Python package build their test stores of them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hotshelf_core::backend::{Answer, Layer, Operation, Result};
use hotshelf_core::runtime::RuntimeId;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{BoxFuture, Error, ErrorKind, Moment, Runtime};

use crate::{DEFAULT_CAPACITY, MemoryBackend};

/// A fault of one operation of a [`ScriptedBackend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The operation fails without being executed.
    Fail(ErrorKind),
    /// The operation is executed, but its answer is lost: the caller gets the error.
    LoseAnswer(ErrorKind),
    /// The operation is executed after this delay, which [`Runtime::sleep`] waits for. After a delay beyond the default deadlines of a server (100 ms for reads and
    /// leases, 250 ms for writes and invalidations) it isn't executed, and fails with
    /// [`ErrorKind::Timeout`] at that deadline.
    Delay(Duration),
}

type Script = Arc<dyn Fn(&Operation<'_>) -> Option<Fault> + Send + Sync>;

/// A backend in memory whose operations, except for `close`, fail and delay as a script decides.
pub struct ScriptedBackend {
    server: Arc<Server>,
    closed: AtomicBool,
}

/// What backends share, as processes share a server.
struct Server {
    memory: MemoryBackend,
    runtime: Arc<dyn Runtime>,
    script: Mutex<Script>,
}

impl ScriptedBackend {
    /// Creates an empty backend without faults.
    #[must_use]
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        let memory = MemoryBackend::new(DEFAULT_CAPACITY, Arc::clone(&runtime));
        let script: Mutex<Script> = Mutex::new(Arc::new(|_| None));
        let server = Arc::new(Server { memory, runtime, script });
        Self { server, closed: AtomicBool::new(false) }
    }

    /// Returns a backend with the same entries, leases and faults, as another process would have
    /// it. Each is closed by itself.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { server: Arc::clone(&self.server), closed: AtomicBool::new(false) }
    }

    /// Sets a function that returns the fault of each operation, or `None` to execute it
    /// normally.
    pub fn inject(&self, script: impl Fn(&Operation<'_>) -> Option<Fault> + Send + Sync + 'static) {
        *self.server.script.lock() = Arc::new(script);
    }
}

impl Layer for ScriptedBackend {
    type Inner = MemoryBackend;

    fn inner(&self) -> Result<impl Deref<Target = MemoryBackend> + Send> {
        match self.closed.load(Ordering::Relaxed) {
            false => Ok(&self.server.memory),
            true => Err(Error::new(ErrorKind::Closed, "the store was closed")),
        }
    }

    fn on_close(&self) -> BoxFuture<'_, ()> {
        self.closed.store(true, Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }

    fn around<'a, A: Answer + 'a>(
        &'a self,
        operation: Operation<'a>,
        run: BoxFuture<'a, A>,
    ) -> BoxFuture<'a, A> {
        if matches!(operation, Operation::Close) {
            return run;
        }
        let script = Arc::clone(&self.server.script.lock());
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
                self.server.runtime.sleep(duration.min(deadline)).await;
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
            .field("memory", &self.server.memory)
            .finish_non_exhaustive()
    }
}

/// Another runtime with simulated time and deterministic randomness. Timers are those of the other
/// runtime.
#[derive(Debug)]
pub struct SimulatedTime<R> {
    /// The time since the start, in nanoseconds: enough for 584 years.
    nanos: AtomicU64,
    /// The state of a SplitMix64 generator (Steele, Lea and Flood, OOPSLA 2014). Its outputs
    /// never repeat, as tokens and versions require.
    random: AtomicU64,
    runtime: R,
}

impl<R> SimulatedTime<R> {
    /// Creates a clock at its start.
    #[must_use]
    pub fn new(runtime: R) -> Self {
        Self { nanos: AtomicU64::default(), random: AtomicU64::default(), runtime }
    }

    /// Advances the time.
    pub fn advance(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let later = |now: u64| Some(now.saturating_add(nanos));
        let _ = self.nanos.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }
}

impl<R: Runtime> Runtime for SimulatedTime<R> {
    fn now(&self) -> Moment {
        Moment::after_start(Duration::from_nanos(self.nanos.load(Ordering::Relaxed)))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.runtime.sleep(duration)
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.runtime.spawn(future);
    }

    fn random(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.random.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn current(&self) -> Option<RuntimeId> {
        self.runtime.current()
    }

    fn is_running(&self, id: RuntimeId) -> bool {
        self.runtime.is_running(id)
    }

    fn task(&self) -> Option<u64> {
        self.runtime.task()
    }

    fn poll_share(&self, context: &mut Context<'_>) -> Poll<()> {
        self.runtime.poll_share(context)
    }

    fn yield_now(&self) -> BoxFuture<'static, ()> {
        self.runtime.yield_now()
    }

    fn spawn_elsewhere(
        &self,
        future: BoxFuture<'static, ()>,
    ) -> std::result::Result<(), BoxFuture<'static, ()>> {
        self.runtime.spawn_elsewhere(future)
    }
}
