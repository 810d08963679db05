//! Whether a flight's leader is still polled.
//!
//! A leader may be kept without being polled: in a stream of buffered futures whose consumer
//! waits for something else, or by `select!` on a mutable reference. Its joiners can't know
//! that, but they see that it was woken and does not go on. A leader that waits for its
//! database is not woken, however long that takes.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;

use super::flight::Flight;
use crate::runtime::{Moment, Runtime, RuntimeId};
use crate::sync::Mutex;

/// How long a leader may leave a wake-up unanswered at least, however short the wait timeout.
const SHORTEST: Duration = Duration::from_millis(100);

/// What is known of the leader of a flight.
#[derive(Debug, Default)]
pub(crate) struct LeaderState {
    /// Since when it was woken and not polled, on the runtime's clock in milliseconds plus one;
    /// 0 if it was not woken.
    woken: AtomicU64,
    /// The number of leaders that were taken for lost.
    turn: AtomicU32,
    /// The turn of the leader that is being polled, plus one; 0 if none is.
    polled: AtomicU32,
    /// The runtime on which it was polled last, if that is known.
    runtime: Mutex<Option<RuntimeId>>,
}

/// The number of a leader. Once it is outdated, the leader has lost the flight.
pub(crate) type Turn = u32;

/// Notes when a leader is woken: one of a flight, or of all flights of a batch.
pub(crate) struct LeaderWaker {
    led: Led,
    runtime: Arc<dyn Runtime>,
    task: AtomicWaker,
    /// Whether the future still runs. A request that it has abandoned may still hold the waker.
    attended: AtomicBool,
}

impl LeaderState {
    pub(crate) fn turn(&self) -> Turn {
        self.turn.load(Ordering::SeqCst)
    }

    /// Begins the turn of another leader. Called under the lock of the flight.
    pub(crate) fn next_turn(&self) -> Turn {
        self.woken.store(0, Ordering::SeqCst);
        *self.runtime.lock() = None;
        self.turn.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Notes that the leader has something to do.
    pub(crate) fn woken(&self, now: Moment) {
        // An earlier wake-up counts.
        let _ = self.woken.compare_exchange(0, stamp(now), Ordering::SeqCst, Ordering::Relaxed);
    }

    /// Notes that the flight was handed to another leader, which has to go on with it.
    pub(crate) fn handed_over(&self, now: Moment) {
        *self.runtime.lock() = None;
        self.woken.store(stamp(now), Ordering::SeqCst);
    }

    /// Notes that a leader is about to be polled. Everything that woke it before is answered.
    fn begin_poll(&self, turn: Turn, runtime: Option<RuntimeId>) {
        if self.turn() == turn {
            *self.runtime.lock() = runtime;
            self.polled.store(turn + 1, Ordering::SeqCst);
            self.woken.store(0, Ordering::SeqCst);
        }
    }

    /// Notes that a leader was polled. What woke it meanwhile counts from now on.
    fn end_poll(&self, turn: Turn, now: impl FnOnce() -> Moment) {
        if self.woken.load(Ordering::SeqCst) != 0 && self.turn() == turn {
            self.woken.store(stamp(now()), Ordering::SeqCst);
        }
        let _ = self.polled.compare_exchange(turn + 1, 0, Ordering::SeqCst, Ordering::Relaxed);
    }

    /// Returns how long the leader may go on without being polled until it is taken for lost;
    /// `None` if that time is over, or its runtime has ended.
    pub(crate) fn lost_in(
        &self,
        runtime: &dyn Runtime,
        wait_timeout: Duration,
    ) -> Option<Duration> {
        let (now, limit) = (runtime.now(), wait_timeout.max(SHORTEST));
        if self.runtime.lock().is_some_and(|id| !runtime.is_running(id)) {
            return None;
        }
        if self.polled.load(Ordering::SeqCst) == self.turn() + 1 {
            return Some(limit);
        }
        let Some(since) = self.woken.load(Ordering::SeqCst).checked_sub(1) else {
            return Some(limit);
        };
        let since = Moment::after_start(Duration::from_millis(since));
        limit.checked_sub(now.since(since)).filter(|left| !left.is_zero())
    }
}

/// Flights, and the turn of their leader in each.
pub(crate) enum Led {
    One(Arc<Flight>, Turn),
    Many(Box<[(Arc<Flight>, Turn)]>),
}

impl Led {
    fn each(&self, mut note: impl FnMut(&LeaderState, Turn)) {
        match self {
            Self::One(flight, turn) => note(&flight.leader, *turn),
            Self::Many(led) => led.iter().for_each(|(flight, turn)| note(&flight.leader, *turn)),
        }
    }
}

impl LeaderWaker {
    pub(crate) fn new(led: Led, runtime: &Arc<dyn Runtime>) -> Arc<Self> {
        let (task, attended) = (AtomicWaker::new(), AtomicBool::new(true));
        Arc::new(Self { led, runtime: Arc::clone(runtime), task, attended })
    }

    /// Runs a future of the leader.
    pub(crate) fn attend<F: Future>(
        self: Arc<Self>,
        mut future: Pin<&mut F>,
    ) -> impl Future<Output = F::Output> {
        let waker = Waker::from(Arc::clone(&self));
        let attendance = Attendance(self);
        poll_fn(move |context| {
            let leading = &attendance.0;
            let current = leading.runtime.current();
            leading.led.each(|leader, turn| leader.begin_poll(turn, current));
            leading.task.register(context.waker());
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            leading.led.each(|leader, turn| leader.end_poll(turn, || leading.runtime.now()));
            polled
        })
    }
}

/// Ends the attendance of a future that is dropped, completed or not, or that panics.
struct Attendance(Arc<LeaderWaker>);

impl Drop for Attendance {
    fn drop(&mut self) {
        self.0.attended.store(false, Ordering::SeqCst);
        self.0.led.each(|leader, turn| leader.end_poll(turn, || self.0.runtime.now()));
    }
}

/// Returns a moment in milliseconds on the runtime's clock, plus one.
fn stamp(now: Moment) -> u64 {
    let millis = now.since(Moment::default()).as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX - 1) + 1
}

impl Wake for LeaderWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.attended.load(Ordering::SeqCst) {
            self.led.each(|leader, turn| {
                if leader.turn() == turn {
                    leader.woken(self.runtime.now());
                }
            });
        }
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::BoxFuture;

    const LIMIT: Duration = Duration::from_secs(2);

    /// The time in milliseconds, and the only runtime that has not ended.
    #[derive(Debug)]
    struct At(u64, RuntimeId);

    impl Runtime for At {
        fn now(&self) -> Moment {
            at(self.0)
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }

        fn spawn(&self, _: BoxFuture<'static, ()>) {}

        fn random(&self) -> u64 {
            0
        }

        fn is_running(&self, id: RuntimeId) -> bool {
            id == self.1
        }
    }

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    fn is_lost(leader: &LeaderState, now: u64) -> bool {
        leader.lost_in(&At(now, RuntimeId::new(1)), LIMIT).is_none()
    }

    #[test]
    fn leader_that_was_woken_and_not_polled_is_lost() {
        let leader = LeaderState::default();
        assert!(!is_lost(&leader, 60_000), "it waits for its database");
        leader.woken(at(1_000));
        leader.woken(at(2_500));
        assert!(!is_lost(&leader, 2_999) && is_lost(&leader, 3_000));
        leader.handed_over(at(9_000));
        assert!(!is_lost(&leader, 10_999), "its successor has time of its own");
    }

    #[test]
    fn leader_that_is_being_polled_is_not_lost() {
        let leader = LeaderState::default();
        leader.begin_poll(0, None);
        leader.woken(at(1_000));
        assert!(!is_lost(&leader, 9_000));
        leader.end_poll(0, || at(9_000));
        assert!(!is_lost(&leader, 10_999) && is_lost(&leader, 11_000));
    }

    #[test]
    fn leader_of_ended_runtime_is_lost() {
        for (runtime, lost) in [(1, false), (2, true)] {
            let leader = LeaderState::default();
            leader.begin_poll(0, Some(RuntimeId::new(runtime)));
            leader.end_poll(0, || at(0));
            assert_eq!(is_lost(&leader, 0), lost);
        }
    }
}
