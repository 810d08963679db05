//! Python's event loops as the engine's runtime.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use hotshelf_core::{BoxFuture, Moment, Runtime};

use crate::driver;
use crate::executor::{Executor, Sleep};

/// When this process first looked at its clock.
#[expect(clippy::disallowed_methods, reason = "this is the runtime")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Gives the time since the process first asked.
pub(crate) fn now() -> Moment {
    Moment::after_start(START.elapsed())
}

/// Time and background work of whichever event loop the engine runs on.
#[derive(Debug)]
pub(crate) struct LoopRuntime;

impl Runtime for LoopRuntime {
    fn now(&self) -> Moment {
        now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Sleep::until(now() + duration))
    }

    /// On the loop of this thread, or else on any that is there. Without one, what was to be
    /// cleaned up ends by its own time.
    fn spawn(&self, future: BoxFuture<'static, ()>) {
        let here = Executor::current().filter(|executor| !executor.is_closed());
        if let Some(executor) = here.or_else(driver::any_executor) {
            executor.spawn(future);
        }
    }

    fn random(&self) -> u64 {
        getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(START.elapsed()))
    }
}
