//! An answer on its way from the driver to the one who waits for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use hotshelf_core::Error;
use hotshelf_wire::resp::Value;

use super::traffic::lost;

/// Makes both ends. A channel does the same at twice the cost: it watches over the end of
/// either side, and here nobody asks whether the other is still there.
pub(super) fn channel() -> (Waiter, Answer) {
    let slot = Arc::new(Slot(Mutex::new(State::Open(None))));
    (Waiter(Some(Arc::clone(&slot))), Answer(slot))
}

/// The end that gives the answer. Dropped without one, it says that the connection was lost.
#[derive(Debug)]
pub(super) struct Waiter(Option<Arc<Slot>>);

/// The end that waits; awaited, it gives the answer.
#[derive(Debug)]
pub(super) struct Answer(Arc<Slot>);

#[derive(Debug)]
struct Slot(Mutex<State>);

#[derive(Debug)]
enum State {
    /// Nothing has come, and this one is to be woken.
    Open(Option<Waker>),
    Given(Result<Value, Error>),
    Taken,
}

impl Waiter {
    /// Gives the answer. Who has stopped waiting needs none.
    pub(super) fn give(mut self, answer: Result<Value, Error>) {
        if let Some(slot) = self.0.take() {
            slot.give(answer);
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.give(Err(lost()));
        }
    }
}

impl Slot {
    fn give(&self, answer: Result<Value, Error>) {
        let before = std::mem::replace(&mut *self.lock(), State::Given(answer));
        if let State::Open(Some(waker)) = before {
            waker.wake();
        }
    }

    /// No code that could panic half-way runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Answer {
    type Output = Result<Value, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        if let State::Open(waker) = &mut *state {
            match waker {
                Some(waker) => waker.clone_from(context.waker()),
                None => *waker = Some(context.waker().clone()),
            }
            return Poll::Pending;
        }
        match std::mem::replace(&mut *state, State::Taken) {
            State::Given(answer) => Poll::Ready(answer),
            State::Open(_) | State::Taken => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::task::noop_waker_ref;

    use super::*;

    fn poll(answer: &mut Answer) -> Poll<Result<Value, Error>> {
        answer.poll_unpin(&mut Context::from_waker(noop_waker_ref()))
    }

    #[test]
    fn an_answer_comes_once_whether_it_was_waited_for_before_or_not() {
        for waits in [false, true] {
            let (waiter, mut answer) = channel();
            assert!(!waits || poll(&mut answer).is_pending());
            waiter.give(Ok(Value::Integer(7)));
            assert!(matches!(poll(&mut answer), Poll::Ready(Ok(Value::Integer(7)))));
            assert!(poll(&mut answer).is_pending());
        }
    }

    #[test]
    fn who_waits_is_told_if_nobody_will_answer() {
        let (waiter, mut answer) = channel();
        assert!(poll(&mut answer).is_pending());
        drop(waiter);
        assert!(matches!(poll(&mut answer), Poll::Ready(Err(_))));
    }

    #[test]
    fn who_is_gone_needs_no_answer() {
        let (waiter, answer) = channel();
        drop(answer);
        waiter.give(Ok(Value::Nil));
    }
}
