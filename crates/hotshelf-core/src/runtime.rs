//! Time, background work and randomness, all injected.

use std::fmt;
use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
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

    /// Returns the time by a clock that never goes backwards and counts the time during which the
    /// machine was suspended. Its moments can't be compared with those of [`now`](Self::now),
    /// which is the default.
    fn uptime(&self) -> Moment {
        self.now()
    }

    /// Returns a future that completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Spawns a future in the background.
    ///
    /// It may be called from a `Drop`, on any thread. The engine only spawns short work: what
    /// a cancelled caller had begun.
    fn spawn(&self, future: BoxFuture<'static, ()>);

    /// Returns 64 random bits, good enough for tokens that are unique among all processes.
    fn random(&self) -> u64;

    /// Returns the async runtime, or event loop, that this thread runs. Connections belong to
    /// one of them each. Returns `None` outside of any, and, by default, everywhere: then all
    /// threads share the connections.
    fn current(&self) -> Option<RuntimeId> {
        None
    }

    /// Returns `false` if a runtime has ended, so that its tasks never run again.
    fn is_running(&self, id: RuntimeId) -> bool {
        let _unknown = id;
        true
    }

    /// Returns an identifier of the task that this thread polls; `None`, the default, if it is
    /// unknown.
    fn task(&self) -> Option<u64> {
        None
    }

    /// Lets other tasks run now and then, if an operation that never waits is called again and
    /// again: pending once the calling task has used up its share of the thread. Ready by
    /// default.
    fn poll_share(&self, context: &mut Context<'_>) -> Poll<()> {
        let _unused = context;
        Poll::Ready(())
    }

    /// Lets other tasks run, in the middle of work that takes long; timers and sockets, too, if
    /// the runtime would otherwise serve tasks first. By default, wakes the task at once.
    fn yield_now(&self) -> BoxFuture<'static, ()> {
        let mut yielded = false;
        Box::pin(std::future::poll_fn(move |context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }))
    }

    /// Records that the process was too busy to notice a timer when it was due.
    fn note_busy(&self, late: Duration) {
        let _ignored = late;
    }

    /// Returns the sum of what was [recorded](Self::note_busy). It is not part of any server's
    /// time to reply. Zero by default.
    fn busy(&self) -> Duration {
        Duration::ZERO
    }

    /// Spawns a future on a running runtime other than the one of this thread, which may be
    /// ending. Gives the future back if there is no other, which is the default.
    ///
    /// # Errors
    /// Returns the future.
    fn spawn_elsewhere(
        &self,
        future: BoxFuture<'static, ()>,
    ) -> Result<(), BoxFuture<'static, ()>> {
        Err(future)
    }
}

/// The sum of the times during which a process was too busy to notice its timers. What several
/// connections or runtimes notice at the same time counts once.
#[derive(Debug, Default)]
pub struct BusyTime {
    /// In microseconds.
    total: AtomicU64,
    /// The end of the last one, in microseconds of the runtime's clock.
    until: AtomicU64,
}

impl BusyTime {
    /// Creates a sum of zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { total: AtomicU64::new(0), until: AtomicU64::new(0) }
    }

    /// Adds the time before `now` by which a timer was late.
    pub fn note(&self, now: Moment, late: Duration) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let until = micros(now.0);
        let counted = self.until.fetch_max(until, Ordering::Relaxed);
        let since = counted.max(micros(now.0.saturating_sub(late)));
        self.total.fetch_add(until.saturating_sub(since), Ordering::Relaxed);
    }

    /// Returns the sum.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_micros(self.total.load(Ordering::Relaxed))
    }
}

/// An async runtime, or event loop, of this process. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuntimeId(u64);

impl RuntimeId {
    /// Creates an identifier from a number that no other runtime of the process has.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
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
mod tests {
    use super::*;

    #[test]
    fn busy_time_of_several_connections_counts_once() {
        let (busy, at) =
            (BusyTime::new(), |millis| Moment::after_start(Duration::from_millis(millis)));
        for _ in 0..3 {
            busy.note(at(400), Duration::from_millis(300));
        }
        busy.note(at(500), Duration::from_millis(200));
        busy.note(at(900), Duration::from_millis(50));
        assert_eq!(busy.total(), Duration::from_millis(450));
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
