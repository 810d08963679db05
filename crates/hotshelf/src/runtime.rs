//! tokio as the engine's runtime.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::task::{Context, Waker};
use std::time::Duration;

use hotshelf_core::{BoxFuture, Moment, Runtime};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Time and background work by tokio, randomness by the operating system.
///
/// A store can be made outside of tokio, and dropped outside of it too.
#[derive(Debug)]
pub(crate) struct TokioRuntime {
    start: Instant,
    /// The runtime that was seen first, for a `Drop` that happens outside of any.
    handle: OnceLock<Handle>,
}

impl TokioRuntime {
    pub(crate) fn new() -> Self {
        let runtime = Self { start: Instant::now(), handle: OnceLock::new() };
        let _outside_perhaps = runtime.current();
        runtime
    }

    /// Gives the runtime that runs this thread, or else the one that was seen first.
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
            // There never was a runtime, so only the memory backend can be behind this,
            // which is done at the first poll.
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
