//! Time, background work and randomness, all injected.

use std::fmt;
use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::Pin;
use std::time::Duration;

/// A boxed future that any thread may poll.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The runtime that the engine runs on.
///
/// The engine takes it as `Arc<dyn Runtime>`, so that the same code runs on tokio, on a Python
/// event loop, and in a simulation that replays a seed.
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// Returns the current time. It never goes backwards.
    fn now(&self) -> Moment;

    /// Returns a future that completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Spawns a future in the background.
    ///
    /// It may be called from a `Drop`, on any thread. The engine only spawns short work: what
    /// a cancelled caller had begun.
    fn spawn(&self, future: BoxFuture<'static, ()>);

    /// Returns 64 random bits, good enough for tokens that are unique among all processes.
    fn random(&self) -> u64;
}

/// A point in time of one [`Runtime`]. It can only be compared with, and subtracted from,
/// others of the same runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// Creates the moment that is `elapsed` after the runtime's start.
    #[must_use]
    pub const fn after_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// Returns the time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

#[cfg(test)]
pub(crate) mod fixed {
    //! A runtime for unit tests whose time never advances.

    use super::{BoxFuture, Duration, Moment, Runtime};

    /// Always returns the same random number, and never runs anything.
    #[derive(Debug)]
    pub(crate) struct FixedRuntime(pub(crate) u64);

    impl Runtime for FixedRuntime {
        fn now(&self) -> Moment {
            Moment::default()
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }

        fn spawn(&self, _: BoxFuture<'static, ()>) {}

        fn random(&self) -> u64 {
            self.0
        }
    }
}
