//! Whether a flight's leader is still polled.
//!
//! A leader may be kept without being polled: in a stream of buffered futures whose consumer
//! waits for something else, or by `select!` on a mutable reference. Its joiners can't know
//! that, but they see that it was woken and does not go on. A leader that waits for its
//! database is not woken, however long that takes.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;

use super::flight::Flight;
use crate::runtime::{Moment, Runtime};

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
}

/// The number of a leader. Once it is outdated, the leader has lost the flight.
pub(crate) type Turn = u32;

/// Notes when a leader is woken.
pub(crate) struct LeaderWaker {
    flight: Arc<Flight>,
    runtime: Arc<dyn Runtime>,
    turn: Turn,
    task: AtomicWaker,
}

impl LeaderState {
    pub(crate) fn turn(&self) -> Turn {
        self.turn.load(Ordering::SeqCst)
    }

    /// Begins the turn of another leader. Called under the lock of the flight.
    pub(crate) fn next_turn(&self) -> Turn {
        self.woken.store(0, Ordering::SeqCst);
        self.turn.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Notes that the leader has something to do.
    pub(crate) fn woken(&self, now: Moment) {
        let millis = now.since(Moment::default()).as_millis();
        let since = u64::try_from(millis).unwrap_or(u64::MAX - 1) + 1;
        // An earlier wake-up counts.
        let _ = self.woken.compare_exchange(0, since, Ordering::SeqCst, Ordering::Relaxed);
    }

    /// Returns how long the leader may go on without being polled until it is taken for lost;
    /// `None` if that time is over.
    pub(crate) fn lost_in(&self, now: Moment, wait_timeout: Duration) -> Option<Duration> {
        let limit = wait_timeout.max(SHORTEST);
        let Some(since) = self.woken.load(Ordering::SeqCst).checked_sub(1) else {
            return Some(limit);
        };
        let since = Moment::after_start(Duration::from_millis(since));
        limit.checked_sub(now.since(since)).filter(|left| !left.is_zero())
    }
}

impl LeaderWaker {
    pub(crate) fn new(flight: &Arc<Flight>, runtime: &Arc<dyn Runtime>, turn: Turn) -> Arc<Self> {
        let (flight, runtime) = (Arc::clone(flight), Arc::clone(runtime));
        Arc::new(Self { flight, runtime, turn, task: AtomicWaker::new() })
    }

    /// Runs a future of the leader.
    pub(crate) async fn attend<F: Future>(self: Arc<Self>, future: F) -> F::Output {
        let waker = Waker::from(Arc::clone(&self));
        let mut future = pin!(future);
        poll_fn(|context| {
            if self.flight.leader.turn() == self.turn {
                self.flight.leader.woken.store(0, Ordering::SeqCst);
            }
            self.task.register(context.waker());
            future.as_mut().poll(&mut Context::from_waker(&waker))
        })
        .await
    }
}

impl Wake for LeaderWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.flight.leader.turn() == self.turn {
            self.flight.leader.woken(self.runtime.now());
        }
        self.task.wake();
    }
}
