//! Timers, which share one timer of the event loop.

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
    last_id: u64,
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
    /// The executor that it is registered with, and its id there. Set by the first poll.
    registration: Option<(Arc<Executor>, u64)>,
}

impl Sleep {
    pub(crate) fn until(until: Moment) -> Self {
        Self { until, registration: None }
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
        let (executor, id) = match (&self.registration, here) {
            (Some((executor, id)), _) => (Arc::clone(executor), *id),
            (None, Some(executor)) => {
                let mut timers = executor.timers.lock();
                timers.last_id += 1;
                let id = timers.last_id;
                drop(timers);
                self.registration = Some((Arc::clone(&executor), id));
                (executor, id)
            }
            // Never happens: only executors poll.
            (None, None) => return Poll::Pending,
        };
        let waker = context.waker().clone();
        let mut timers = executor.timers.lock();
        let is_first = timers.next().is_none_or(|next| until < next);
        timers.due.insert((until, id), waker);
        drop(timers);
        if is_first {
            executor.note_timer();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((executor, id)) = self.registration.take() {
            executor.timers.lock().due.remove(&(self.until, id));
        }
    }
}
