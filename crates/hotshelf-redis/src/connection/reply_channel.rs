//! The channel that carries one reply from the driver to its caller.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hotshelf_core::sync::Mutex;
use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::resp::Value;

use crate::errors;

/// Creates both ends. A general one-shot channel costs twice as much: it also reports a
/// dropped receiver to the sender, which is not needed here.
pub(super) fn channel() -> (ReplySender, ReplyReceiver) {
    let slot = Arc::new(Slot(Mutex::new(State::Open(None))));
    (ReplySender(Some(Arc::clone(&slot))), ReplyReceiver(slot))
}

/// The sending end. Dropped without a reply, it reports that the connection was lost.
#[derive(Debug)]
pub(super) struct ReplySender(Option<Arc<Slot>>);

/// The receiving end: a future that resolves to the reply.
#[derive(Debug)]
pub(super) struct ReplyReceiver(Arc<Slot>);

#[derive(Debug)]
struct Slot(Mutex<State>);

#[derive(Debug)]
enum State {
    /// No reply yet. Holds the receiver's waker once it was polled.
    Open(Option<Waker>),
    Sent(Result<Value, Error>),
    Received,
}

impl ReplySender {
    /// Sends the reply. Does nothing if the receiver was dropped.
    pub(super) fn send(mut self, reply: Result<Value, Error>) {
        if let Some(slot) = self.0.take() {
            slot.put(reply);
        }
    }
}

impl Drop for ReplySender {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.put(Err(connection_lost()));
        }
    }
}

impl Slot {
    fn put(&self, reply: Result<Value, Error>) {
        // The guard is dropped at the end of the statement: no task is woken under the lock.
        let before = std::mem::replace(&mut *self.0.lock(), State::Sent(reply));
        if let State::Open(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl Future for ReplyReceiver {
    type Output = Result<Value, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.0.lock();
        if let State::Open(waker) = &mut *state {
            match waker {
                Some(waker) => waker.clone_from(context.waker()),
                None => *waker = Some(context.waker().clone()),
            }
            return Poll::Pending;
        }
        match std::mem::replace(&mut *state, State::Received) {
            State::Sent(reply) => Poll::Ready(reply),
            State::Open(_) | State::Received => Poll::Pending,
        }
    }
}

/// Creates the error of commands in flight when the connection was lost. As after a timeout,
/// the server may have executed them, or may still do so.
pub(super) fn connection_lost() -> Error {
    let message = "the connection was lost before the server replied";
    Error::new(ErrorKind::Timeout, message).with_source(errors::ConnectionLost)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::task::noop_waker_ref;

    use super::*;

    fn poll(receiver: &mut ReplyReceiver) -> Poll<Result<Value, Error>> {
        receiver.poll_unpin(&mut Context::from_waker(noop_waker_ref()))
    }

    #[test]
    fn reply_is_received_once() {
        for polled_before in [false, true] {
            let (sender, mut receiver) = channel();
            assert!(!polled_before || poll(&mut receiver).is_pending());
            sender.send(Ok(Value::Integer(7)));
            assert!(matches!(poll(&mut receiver), Poll::Ready(Ok(Value::Integer(7)))));
            assert!(poll(&mut receiver).is_pending());
        }
    }

    #[test]
    fn dropped_sender_is_an_error() {
        let (sender, mut receiver) = channel();
        assert!(poll(&mut receiver).is_pending());
        drop(sender);
        assert!(matches!(poll(&mut receiver), Poll::Ready(Err(_))));
    }

    #[test]
    fn dropped_receiver_ignores_reply() {
        let (sender, receiver) = channel();
        drop(receiver);
        sender.send(Ok(Value::Nil));
    }
}
