//! Time, background work and randomness, all injected.

use std::fmt;
use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::Pin;
use std::time::Duration;

/// A boxed future that any thread may poll.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the engine needs of the program that it runs in.
///
/// The engine takes it as `Arc<dyn Runtime>`, so that the same code runs under tokio,
/// on a Python event loop and in a simulation that replays a seed.
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// Gives the time since some fixed moment. It never goes backwards.
    fn now(&self) -> Moment;

    /// Gives a future that is ready once `duration` has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Runs a future in the background.
    ///
    /// It may be called from a `Drop`, on any thread. The engine gives it short work
    /// only: to finish what a cancelled caller had begun.
    fn spawn(&self, future: BoxFuture<'static, ()>);

    /// Gives 64 random bits, fit to make tokens that no other process has.
    fn random(&self) -> u64;
}

/// A point in time of one [`Runtime`]: comparable, and good for differences only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The moment that lies `elapsed` after the runtime's own beginning.
    #[must_use]
    pub const fn after_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// Gives the time from `earlier` to this moment; zero if `earlier` is later.
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
    //! A runtime for unit tests that stands still.

    use super::{BoxFuture, Duration, Moment, Runtime};

    /// Gives the same random number each time and never runs anything.
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
