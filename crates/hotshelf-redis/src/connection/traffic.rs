//! What the callers of a connection and its driver share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use hotshelf_core::{Error, ErrorKind, Moment};
use hotshelf_wire::resp::{Command, Value};
use hotshelf_wire::{Event, Pipeline};

use super::Ended;
use super::answer::{self, Answer, Waiter};
use super::request::{ASKING, CACHING, Manner, Request};

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
    /// Whether `CLIENT CACHING` may be said.
    opted_in: bool,
    /// Whether the driver has to be woken for what is queued next.
    asleep: bool,
    /// Whether the connection ends with the last reply that somebody waits for.
    closing: bool,
    ended: Option<Ended>,
}

/// What a driver has to look after before it sleeps.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Rest {
    /// Why the session has ended, if it has.
    pub ended: Option<Ended>,
    /// Whether something was queued meanwhile.
    pub has_output: bool,
    /// No deadline passes before this one.
    pub deadline: Option<Moment>,
}

impl Traffic {
    pub(super) fn new() -> Self {
        let pipeline = Pipeline::new();
        let state = State { pipeline, opted_in: false, asleep: false, closing: false, ended: None };
        Self { state: Mutex::new(state), driver: AtomicWaker::new() }
    }

    /// From now on, what is tracked is said to be.
    pub(super) fn opt_in(&self) {
        self.lock().opted_in = true;
    }

    /// Queues a command.
    pub(super) fn send(
        &self,
        request: &Request,
        manner: Manner,
        deadline: Moment,
    ) -> Result<Answer, Error> {
        let (waiter, answer) = answer::channel();
        let mut state = self.lock();
        state.check(1)?;
        state.queue(request, manner, waiter, deadline);
        self.wake(state);
        Ok(answer)
    }

    /// Queues commands, one behind the other.
    pub(super) fn send_all<'a>(
        &self,
        requests: impl ExactSizeIterator<Item = &'a Request>,
        manner: Manner,
        deadline: Moment,
    ) -> Result<Vec<Answer>, Error> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut state = self.lock();
        state.check(requests.len())?;
        for request in requests {
            let (waiter, answer) = answer::channel();
            state.queue(request, manner, waiter, deadline);
            answers.push(answer);
        }
        self.wake(state);
        Ok(answers)
    }

    /// Queues a command that is not answered: a subscription.
    pub(super) fn tell(&self, command: &Command) -> Result<(), Error> {
        let mut state = self.lock();
        state.check(0)?;
        state.pipeline.tell(command);
        self.wake(state);
        Ok(())
    }

    /// Ends the connection, for its first reason.
    pub(super) fn end(&self, why: Ended) {
        let mut state = self.lock();
        state.ended.get_or_insert(why);
        let pipeline = std::mem::take(&mut state.pipeline);
        drop(state);
        for waiter in pipeline.close() {
            waiter.give(Err(lost()));
        }
        self.driver.wake();
    }

    /// Takes no more commands, and ends the connection once all that were sent are answered,
    /// or their deadlines have passed.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        let done = state.is_done();
        drop(state);
        if done {
            self.end(Ended::Closed);
        }
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
    pub(super) fn receive(&self, values: &mut Vec<Value>, events: &mut Vec<Event<Waiter>>) {
        let mut state = self.lock();
        events.extend(values.drain(..).map(|value| state.pipeline.receive(value)));
    }

    /// Takes out those whose deadline has passed, and gives the next deadline. Says whether
    /// that is news of the server.
    pub(super) fn expire(&self, now: Moment, expired: &mut Vec<Waiter>) -> (bool, Option<Moment>) {
        let mut state = self.lock();
        (state.pipeline.expire(now, expired), state.pipeline.next_deadline())
    }

    /// Says what is left to do. From now on the next command wakes the driver.
    pub(super) fn rest(&self) -> Rest {
        let mut state = self.lock();
        state.asleep = true;
        Rest {
            ended: state.ended.or(state.is_done().then_some(Ended::Closed)),
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
    /// Says whether the connection is to end, and nobody waits for a reply any more.
    fn is_done(&self) -> bool {
        self.closing && self.pipeline.next_deadline().is_none()
    }

    /// Says why no more commands can be queued.
    fn check(&self, more: usize) -> Result<(), Error> {
        if let Some(why) = self.ended.or(self.closing.then_some(Ended::Closed)) {
            return Err(why.into());
        }
        if self.pipeline.in_flight() + more > WINDOW {
            let message = format!("more than {WINDOW} commands wait for the server's answers");
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        Ok(())
    }

    fn queue(&mut self, request: &Request, manner: Manner, waiter: Waiter, deadline: Moment) {
        match manner {
            Manner::Asking => self.pipeline.push_unheard(&ASKING),
            Manner::Plain if request.tracked && self.opted_in => {
                self.pipeline.push_unheard(&CACHING);
            }
            Manner::Plain => {}
        }
        self.pipeline.push(&request.command, waiter, deadline);
    }
}

/// What those are told who were waiting when the connection ended. As with a deadline
/// that has passed, the server may have executed their commands, or may still do so.
pub(super) fn lost() -> Error {
    Error::new(ErrorKind::Timeout, "the connection was lost before the server answered")
}
