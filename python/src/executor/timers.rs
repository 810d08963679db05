//! Timers, all of which are one timer to the event loop.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hotshelf_core::Moment;

use super::Executor;

/// The timers of an executor, in the order in which they are due.
#[derive(Default)]
pub(super) struct Timers {
    due: BTreeMap<(Moment, u64), Waker>,
    number: u64,
}

impl Timers {
    pub(super) fn next(&self) -> Option<Moment> {
        self.due.first_key_value().map(|((moment, _), _)| *moment)
    }

    pub(super) fn take_due(&mut self, now: Moment) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(first) = self.due.first_entry()
            && first.key().0 <= now
        {
            due.push(first.remove());
        }
        due
    }
}

/// Waits until a moment.
pub(crate) struct Sleep {
    until: Moment,
    /// Where it waits, once it was polled.
    place: Option<(Arc<Executor>, u64)>,
}

impl Sleep {
    pub(crate) fn until(until: Moment) -> Self {
        Self { until, place: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let until = self.until;
        if until <= crate::runtime::now() {
            return Poll::Ready(());
        }
        let here = Executor::current();
        let (executor, number) = match (&self.place, here) {
            (Some((executor, number)), _) => (Arc::clone(executor), *number),
            (None, Some(executor)) => {
                let mut timers = executor.timers.lock();
                timers.number += 1;
                let number = timers.number;
                drop(timers);
                self.place = Some((Arc::clone(&executor), number));
                (executor, number)
            }
            // Only executors poll.
            (None, None) => return Poll::Pending,
        };
        let waker = context.waker().clone();
        executor.timers.lock().due.insert((until, number), waker);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((executor, number)) = self.place.take() {
            executor.timers.lock().due.remove(&(self.until, number));
        }
    }
}
