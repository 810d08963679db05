//! A value that operations use one after the other.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::{Poll, Waker};

use futures_channel::oneshot;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{Error, ErrorKind};

use crate::fork::Process;

/// A value that operations use one after the other, in the order in which they arrive. One that
/// waits for a message gives way to one that is urgent. A dropped operation returns the value.
pub(crate) struct Turns<T> {
    state: Mutex<State<T>>,
    process: Process,
}

struct State<T> {
    /// The value, unless an operation uses it.
    value: Option<T>,
    waiting: VecDeque<Waiting<T>>,
    /// The operation that gives way.
    yielding: Option<Waker>,
}

struct Waiting<T> {
    is_urgent: bool,
    turn: oneshot::Sender<Turn<T>>,
}

/// The turn of one operation. Dropping it passes the value on.
pub(crate) struct Turn<T> {
    turns: Arc<Turns<T>>,
    value: Option<T>,
}

impl<T> Turns<T> {
    pub(crate) fn new(value: T) -> Arc<Self> {
        let state = State { value: Some(value), waiting: VecDeque::new(), yielding: None };
        Arc::new(Self { state: Mutex::new(state), process: Process::current() })
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// Of kind `Closed` in a forked process: the connection is that of its parent.
    pub(crate) async fn next(self: &Arc<Self>, is_urgent: bool) -> Result<Turn<T>, Error> {
        if self.process.is_parent() {
            return Err(in_child());
        }
        let turn = {
            let mut state = self.state.lock();
            if let Some(value) = state.value.take() {
                return Ok(Turn { turns: Arc::clone(self), value: Some(value) });
            }
            let (sender, receiver) = oneshot::channel();
            let waiting = Waiting { is_urgent, turn: sender };
            let yielding = match is_urgent {
                true => {
                    state.waiting.push_front(waiting);
                    state.yielding.take()
                }
                false => {
                    state.waiting.push_back(waiting);
                    None
                }
            };
            drop(state);
            yielding.into_iter().for_each(Waker::wake);
            receiver
        };
        turn.await.map_err(|_| in_child())
    }

    /// Returns a turn if no operation uses the value.
    pub(crate) fn try_next(self: &Arc<Self>) -> Option<Turn<T>> {
        if self.process.is_parent() {
            return None;
        }
        let value = self.state.lock().value.take()?;
        Some(Turn { turns: Arc::clone(self), value: Some(value) })
    }

    /// Waits until an urgent operation waits for its turn.
    pub(crate) async fn wanted(&self) {
        poll_fn(|context| {
            let mut state = self.state.lock();
            if state.waiting.iter().any(|it| it.is_urgent && !it.turn.is_canceled()) {
                return Poll::Ready(());
            }
            state.yielding = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

fn in_child() -> Error {
    let message = "the connection belongs to the parent process: create another one after a fork";
    Error::new(ErrorKind::Closed, message)
}

impl<T> Drop for Turns<T> {
    fn drop(&mut self) {
        if self.process.is_parent() {
            // Its sockets belong to the parent.
            std::mem::forget(self.state.lock().value.take());
        }
    }
}

impl<T> Deref for Turn<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is taken on drop")
    }
}

impl<T> DerefMut for Turn<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("it is taken on drop")
    }
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        let mut state = self.turns.state.lock();
        let next = state.waiting.pop_front();
        match next {
            None => state.value = self.value.take(),
            Some(next) => {
                drop(state);
                let turn = Self { turns: Arc::clone(&self.turns), value: self.value.take() };
                // One whose operation was dropped passes the value on to the next.
                drop(next.turn.send(turn));
            }
        }
    }
}
