//! tokio as the engine's runtime.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::task::{Context, Waker};
use std::time::Duration;

use hotshelf_core::{BoxFuture, Moment, Runtime};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Time and background work from tokio, randomness from the operating system.
///
/// A store can be created and dropped outside of tokio.
#[derive(Debug)]
pub(crate) struct TokioRuntime {
    start: Instant,
    /// The first runtime that was seen, for a `Drop` outside of any runtime.
    handle: OnceLock<Handle>,
}

impl TokioRuntime {
    pub(crate) fn new() -> Self {
        let runtime = Self { start: Instant::now(), handle: OnceLock::new() };
        let _no_runtime_yet = runtime.current();
        runtime
    }

    /// Returns the runtime of this thread, or else the first that was seen.
    fn current(&self) -> Option<Handle> {
        match Handle::try_current() {
            Ok(handle) => {
                let _ = self.handle.set(handle.clone());
                Some(handle)
            }
            Err(_) => self.handle.get().cloned(),
        }
    }
}

impl Runtime for TokioRuntime {
    fn now(&self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the runtime")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn spawn(&self, mut future: BoxFuture<'static, ()>) {
        match self.current() {
            Some(handle) => drop(handle.spawn(future)),
            // There was never a runtime, so this can only be the memory backend, which
            // completes at the first poll.
            None => drop(future.as_mut().poll(&mut Context::from_waker(Waker::noop()))),
        }
    }

    fn random(&self) -> u64 {
        // Without the operating system's randomness, the hasher's keys still differ
        // between processes, and the time between calls.
        let fallback = || RandomState::new().hash_one(self.start.elapsed());
        getrandom::u64().unwrap_or_else(|_| fallback())
    }
}
