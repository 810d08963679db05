//! tokio as the engine's runtime.

mod known;
mod timer;

use std::cell::Cell;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::panic::catch_unwind;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hotshelf_core::runtime::{BusyTime, RuntimeId};
use hotshelf_core::{BoxFuture, Moment, Runtime};
use tokio::runtime::Handle;
use tokio::time::Instant;

use known::Runtimes;

thread_local! {
    /// Whether a runtime of this thread has no timers.
    static WITHOUT_TIMERS: Cell<bool> = const { Cell::new(false) };
}

/// Time and background work from tokio, randomness from the operating system.
///
/// A store can be created and dropped outside of tokio, and used from any number of runtimes.
#[derive(Debug)]
pub(crate) struct TokioRuntime {
    start: Instant,
    runtimes: Runtimes,
    busy: BusyTime,
}

impl TokioRuntime {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), runtimes: Runtimes::default(), busy: BusyTime::new() }
    }
}

impl Runtime for TokioRuntime {
    fn now(&self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    /// `CLOCK_BOOTTIME`, where there is one. Without a server, nothing is bounded by it.
    #[cfg(all(feature = "redis", any(target_os = "linux", target_os = "android")))]
    fn uptime(&self) -> Moment {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Moment::after_start(time.try_into().unwrap_or_default())
    }

    /// Uses a timer thread outside of tokio, and in runtimes without timers.
    #[expect(clippy::disallowed_methods, reason = "this is the runtime")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if Handle::try_current().is_ok() && !WITHOUT_TIMERS.get() {
            match catch_unwind(|| tokio::time::sleep(duration)) {
                Ok(sleep) => return Box::pin(sleep),
                Err(_) => {
                    WITHOUT_TIMERS.set(true);
                    tracing::warn!(
                        "this tokio runtime has no timers: call `enable_time` on its builder; \
                         using a timer thread"
                    );
                }
            }
        }
        Box::pin(timer::sleep(duration))
    }

    fn spawn(&self, mut future: BoxFuture<'static, ()>) {
        match Handle::try_current().ok().or_else(|| self.runtimes.any()) {
            Some(handle) => {
                self.runtimes.meet(&handle);
                drop(handle.spawn(future));
            }
            // No runtime is left, so only the memory backend completes, at the first poll.
            None => drop(future.as_mut().poll(&mut Context::from_waker(Waker::noop()))),
        }
    }

    fn random(&self) -> u64 {
        // Without the operating system's randomness, the hasher's keys still differ
        // between processes, and the time between calls.
        let fallback = || RandomState::new().hash_one(self.start.elapsed());
        getrandom::u64().unwrap_or_else(|_| fallback())
    }

    fn current(&self) -> Option<RuntimeId> {
        Handle::try_current().ok().map(|handle| known::id(&handle))
    }

    fn is_running(&self, id: RuntimeId) -> bool {
        self.runtimes.is_running(id)
    }

    /// A future that is not a task of its own, such as that of `block_on`, stays on its thread.
    fn task(&self) -> Option<u64> {
        let hashed = |id: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            id(&mut hasher);
            hasher.finish()
        };
        Some(match tokio::task::try_id() {
            Some(task) => hashed(&|hasher| task.hash(hasher)),
            None => hashed(&|hasher| std::thread::current().id().hash(hasher)),
        })
    }

    fn poll_share(&self, context: &mut Context<'_>) -> Poll<()> {
        let proceeding = tokio::task::coop::poll_proceed(context);
        proceeding.map(|proceeded| proceeded.made_progress())
    }

    fn yield_now(&self) -> BoxFuture<'static, ()> {
        Box::pin(tokio::task::yield_now())
    }

    fn note_busy(&self, late: Duration) {
        self.busy.note(self.now(), late);
    }

    fn busy(&self) -> Duration {
        self.busy.total()
    }

    fn spawn_elsewhere(
        &self,
        future: BoxFuture<'static, ()>,
    ) -> Result<(), BoxFuture<'static, ()>> {
        match self.runtimes.other_than(self.current()) {
            Some(handle) => {
                drop(handle.spawn(future));
                Ok(())
            }
            None => Err(future),
        }
    }
}
