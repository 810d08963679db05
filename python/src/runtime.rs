//! Runs the engine on Python's event loops.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use hotshelf_core::runtime::{BusyTime, RuntimeId};
use hotshelf_core::{BoxFuture, Moment, Runtime};

use crate::executor::{Executor, Sleep};
use crate::host;

/// The time at which this process first read its clock.
#[expect(clippy::disallowed_methods, reason = "this is the runtime")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The time during which timers were late.
static BUSY: BusyTime = BusyTime::new();

/// Returns the time since the process first read its clock.
pub(crate) fn now() -> Moment {
    Moment::after_start(START.elapsed())
}

/// The runtime of the event loop, or of the threads, on which the engine runs.
#[derive(Debug)]
pub(crate) struct LoopRuntime;

impl Runtime for LoopRuntime {
    fn now(&self) -> Moment {
        now()
    }

    /// `CLOCK_BOOTTIME`, where there is one.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn uptime(&self) -> Moment {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Moment::after_start(time.try_into().unwrap_or_default())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Sleep::until(now() + duration))
    }

    /// Spawns on the loop of this thread, or else on any other loop. Without a loop the work is
    /// dropped. Removals and releases stay on the list of their store, and the next loop goes on
    /// with them.
    fn spawn(&self, future: BoxFuture<'static, ()>) {
        let here = Executor::current().filter(|executor| !executor.is_closed());
        if let Some(executor) = here.or_else(|| host::open_executor(|_| true)) {
            executor.spawn(future);
        }
    }

    fn random(&self) -> u64 {
        getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(START.elapsed()))
    }

    fn current(&self) -> Option<RuntimeId> {
        Executor::current_id()
    }

    fn is_running(&self, id: RuntimeId) -> bool {
        host::open_executor(|executor| executor.id() == id).is_some()
    }

    fn note_busy(&self, late: Duration) {
        BUSY.note(now(), late);
    }

    fn busy(&self) -> Duration {
        BUSY.total()
    }

    fn spawn_elsewhere(
        &self,
        future: BoxFuture<'static, ()>,
    ) -> Result<(), BoxFuture<'static, ()>> {
        let here = self.current();
        match host::open_executor(|executor| Some(executor.id()) != here) {
            Some(executor) => {
                executor.spawn(future);
                Ok(())
            }
            None => Err(future),
        }
    }
}
