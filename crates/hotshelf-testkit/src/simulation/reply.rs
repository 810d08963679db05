//! An answer that a caller awaits until a timeout.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hotshelf_core::BoxFuture;
use hotshelf_core::sync::Mutex;

/// A slot for one answer.
pub(super) struct Reply<T>(Arc<Mutex<Slot<T>>>);

struct Slot<T> {
    answer: Option<T>,
    waker: Option<Waker>,
}

impl<T> Reply<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Slot { answer: None, waker: None })))
    }

    pub(super) fn put(&self, answer: T) {
        let mut slot = self.0.lock();
        slot.answer = Some(answer);
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for the answer until a timer fires. An answer takes precedence if both are ready,
    /// even if it has arrived and has to be read first.
    pub(super) fn until(
        self,
        mut timer: BoxFuture<'static, ()>,
        read: impl Fn(),
    ) -> impl Future<Output = Option<T>> {
        poll_fn(move |context| {
            read();
            match self.poll(context) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => timer.as_mut().poll(context).map(|()| None),
            }
        })
    }

    /// Waits for the answer until a timer fires, which takes precedence if both are ready.
    pub(super) fn unless(
        self,
        mut timer: BoxFuture<'static, ()>,
    ) -> impl Future<Output = Option<T>> {
        poll_fn(move |context| match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => self.poll(context).map(Some),
        })
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<T> {
        let mut slot = self.0.lock();
        match slot.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Clone for Reply<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
