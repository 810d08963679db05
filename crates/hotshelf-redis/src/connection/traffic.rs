//! What the callers of a connection and its driver share.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures_channel::oneshot;
use futures_util::task::AtomicWaker;
use hotshelf_core::{Error, ErrorKind, Moment};
use hotshelf_wire::resp::{Command, Value};
use hotshelf_wire::{Event, Pipeline, Unasked};

/// How many commands may be in flight. More of them only show that nothing comes back.
const WINDOW: usize = 1 << 16;

/// Commands on their way, and a bell for the driver.
///
/// The lock is held for as long as it takes to copy a command or to tell whose reply has
/// come; nobody is woken under it.
pub(super) struct Traffic {
    state: Mutex<State>,
    driver: AtomicWaker,
}

struct State {
    pipeline: Pipeline<Waiter>,
    /// Whether the driver has to be woken for what is queued next.
    asleep: bool,
    ended: Option<Ended>,
}

pub(super) type Waiter = oneshot::Sender<Result<Value, Error>>;
pub(super) type Answer = oneshot::Receiver<Result<Value, Error>>;

/// Why a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The other side, or the network, has closed it.
    Cut,
    /// The server has stopped answering.
    Silent,
    /// The server speaks another language, or out of turn.
    Garbled,
    /// The store was closed.
    Closed,
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Cut => "the connection was cut",
            Self::Silent => "the server stopped answering",
            Self::Garbled => "the server's words are not understood",
            Self::Closed => "the store was closed",
        })
    }
}

/// What the driver has to look after before it sleeps.
pub(super) struct Rest {
    pub(super) ended: Option<Ended>,
    /// Whether something was queued meanwhile.
    pub(super) has_output: bool,
    /// No deadline passes before this one.
    pub(super) deadline: Option<Moment>,
}

impl Traffic {
    pub(super) fn new() -> Self {
        let state = State { pipeline: Pipeline::new(), asleep: false, ended: None };
        Self { state: Mutex::new(state), driver: AtomicWaker::new() }
    }

    /// Queues a command.
    pub(super) fn send(&self, command: &Command, deadline: Moment) -> Result<Answer, Error> {
        let (waiter, answer) = oneshot::channel();
        let mut state = self.lock();
        state.check(1)?;
        state.pipeline.push(command, waiter, deadline);
        self.wake(state);
        Ok(answer)
    }

    /// Queues commands, one behind the other.
    pub(super) fn send_all(
        &self,
        commands: &[Command],
        deadline: Moment,
    ) -> Result<Vec<Answer>, Error> {
        let (waiters, answers): (Vec<Waiter>, Vec<Answer>) =
            commands.iter().map(|_| oneshot::channel()).unzip();
        let mut state = self.lock();
        state.check(commands.len())?;
        for (command, waiter) in commands.iter().zip(waiters) {
            state.pipeline.push(command, waiter, deadline);
        }
        self.wake(state);
        Ok(answers)
    }

    /// Ends the connection, for its first reason.
    pub(super) fn end(&self, why: Ended) {
        let mut state = self.lock();
        state.ended.get_or_insert(why);
        let pipeline = std::mem::take(&mut state.pipeline);
        drop(state);
        for waiter in pipeline.close() {
            // Who is gone needs no answer.
            let _ = waiter.send(Err(lost()));
        }
        self.driver.wake();
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        self.lock().ended
    }

    /// Registers the driver as the one to wake.
    pub(super) fn register(&self, driver: &Waker) {
        self.driver.register(driver);
    }

    /// Says whether what is queued may wait for more: while the server works on earlier
    /// commands, nothing is lost by it.
    pub(super) fn can_gather(&self) -> bool {
        let state = self.lock();
        state.pipeline.has_output() && state.pipeline.is_owed()
    }

    /// Gives all that is to be sent; nothing leaves the buffer empty.
    pub(super) fn take_output(&self, buffer: &mut Vec<u8>) {
        let mut state = self.lock();
        if state.pipeline.has_output() {
            state.pipeline.take_output(buffer);
        }
    }

    /// Says whom values that have come are for.
    pub(super) fn receive(
        &self,
        values: &mut Vec<Value>,
        events: &mut Vec<Event<Waiter>>,
    ) -> Result<(), Unasked> {
        let mut state = self.lock();
        for value in values.drain(..) {
            events.push(state.pipeline.receive(value)?);
        }
        Ok(())
    }

    /// Takes out those whose deadline has passed, and gives the next deadline.
    pub(super) fn expire(&self, now: Moment, expired: &mut Vec<Waiter>) -> Option<Moment> {
        let mut state = self.lock();
        state.pipeline.expire(now, expired);
        state.pipeline.next_deadline()
    }

    /// Says what is left to do. From now on the next command wakes the driver.
    pub(super) fn rest(&self) -> Rest {
        let mut state = self.lock();
        state.asleep = true;
        Rest {
            ended: state.ended,
            has_output: state.pipeline.has_output(),
            deadline: state.pipeline.next_deadline(),
        }
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let asleep = std::mem::replace(&mut state.asleep, false);
        drop(state);
        if asleep {
            self.driver.wake();
        }
    }

    /// No code that could panic half-way runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Says why no more commands can be queued.
    fn check(&self, more: usize) -> Result<(), Error> {
        if let Some(why) = self.ended {
            return Err(Error::new(ErrorKind::Unavailable, why.to_string()));
        }
        if self.pipeline.in_flight() + more > WINDOW {
            let message = format!("more than {WINDOW} commands wait for the server's answers");
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        Ok(())
    }
}

/// What those are told who were waiting when the connection ended. As with a deadline
/// that has passed, the server may have executed their commands, or may still do so.
pub(super) fn lost() -> Error {
    Error::new(ErrorKind::Timeout, "the connection was lost before the server answered")
}
