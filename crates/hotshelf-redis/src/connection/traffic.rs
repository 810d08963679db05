//! The state that callers of a connection share with its driver.

use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use hotshelf_core::sync::{Mutex, MutexGuard};
use hotshelf_core::{Error, ErrorKind, Moment};
use hotshelf_wire::resp::{Command, Value};
use hotshelf_wire::{Event, Pipeline};

use super::close_reason::CloseReason;
use super::reply_channel::{self, ReplyReceiver, ReplySender, connection_lost};
use super::request::{ASKING, CACHING, Request, Routing};

/// The maximum number of commands in flight. Usually it is reached only when no replies
/// arrive.
const WINDOW: usize = 1 << 16;

/// The maximum size of the commands that wait for the network, unless one alone is larger.
const WINDOW_BYTES: usize = 256 << 20;

/// The commands in flight, and the waker of the driver.
///
/// The lock is held while a command is copied or a reply is matched; no task is woken under it.
pub(super) struct Traffic {
    state: Mutex<State>,
    driver: AtomicWaker,
}

struct State {
    pipeline: Pipeline<ReplySender, Moment>,
    /// Whether tracked requests are sent with `CLIENT CACHING`.
    opted_in: bool,
    /// Whether the next command has to wake the driver.
    asleep: bool,
    /// Whether to close the connection after the last awaited reply.
    closing: bool,
    closed: Option<CloseReason>,
    /// Whether nothing was in flight when it was closed.
    closed_idle: bool,
}

/// The state that a driver checks before it sleeps.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DriverStatus {
    /// The reason, if the connection was closed.
    pub closed: Option<CloseReason>,
    /// Whether there are bytes to send.
    pub has_output: bool,
    /// An instant before which no deadline passes.
    pub deadline: Option<Moment>,
}

impl Traffic {
    pub(super) fn new() -> Self {
        let pipeline = Pipeline::new();
        let state = State {
            pipeline,
            opted_in: false,
            asleep: false,
            closing: false,
            closed: None,
            closed_idle: false,
        };
        Self { state: Mutex::new(state), driver: AtomicWaker::new() }
    }

    /// Sends tracked requests with `CLIENT CACHING` from now on.
    pub(super) fn opt_in(&self) {
        self.state.lock().opted_in = true;
    }

    /// Queues a command.
    pub(super) fn send(
        &self,
        request: &Request,
        routing: Routing,
        timeout: Duration,
    ) -> Result<ReplyReceiver, Error> {
        let (sender, receiver) = reply_channel::channel();
        let mut state = self.state.lock();
        state.check(1)?;
        state.enqueue(request, routing, sender, timeout);
        self.wake(state);
        Ok(receiver)
    }

    /// Queues commands in order, without commands of other callers in between.
    pub(super) fn send_all<'a>(
        &self,
        requests: impl ExactSizeIterator<Item = &'a Request>,
        routing: Routing,
        timeout: Duration,
    ) -> Result<Vec<ReplyReceiver>, Error> {
        let mut receivers = Vec::with_capacity(requests.len());
        let mut state = self.state.lock();
        state.check(requests.len())?;
        for request in requests {
            let (sender, receiver) = reply_channel::channel();
            state.enqueue(request, routing, sender, timeout);
            receivers.push(receiver);
        }
        self.wake(state);
        Ok(receivers)
    }

    /// Queues a command without a reply: a subscription.
    pub(super) fn send_without_reply(&self, command: &Command) -> Result<(), Error> {
        let mut state = self.state.lock();
        state.check(0)?;
        state.pipeline.push_without_reply(command);
        self.wake(state);
        Ok(())
    }

    /// Closes the connection at once. The first reason is kept.
    pub(super) fn abort(&self, reason: CloseReason) {
        let mut state = self.state.lock();
        if state.closed.is_none() {
            state.closed = Some(reason);
            state.closed_idle = state.pipeline.in_flight() == 0;
        }
        let pipeline = std::mem::take(&mut state.pipeline);
        drop(state);
        for sender in pipeline.close() {
            sender.send(Err(connection_lost()));
        }
        self.driver.wake();
    }

    /// Refuses further commands, and closes the connection once the queued ones are answered
    /// or their deadlines have passed.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closing = true;
        let drained = state.is_drained();
        drop(state);
        if drained {
            self.abort(CloseReason::Closed);
        }
    }

    pub(super) fn closed(&self) -> Option<CloseReason> {
        self.state.lock().closed
    }

    /// Returns `true` if nothing was in flight when the connection was closed.
    pub(super) fn closed_idle(&self) -> bool {
        self.state.lock().closed_idle
    }

    /// Returns the reason for the end of the driver, if it has to end.
    pub(super) fn ended(&self) -> Option<CloseReason> {
        self.state.lock().ended()
    }

    /// Registers the waker of the driver.
    pub(super) fn register(&self, driver: &Waker) {
        self.driver.register(driver);
    }

    /// Returns `true` if queued commands may wait for more, at no cost: the server is busy
    /// with earlier ones.
    pub(super) fn can_gather(&self) -> bool {
        let state = self.state.lock();
        state.pipeline.has_output() && state.pipeline.awaits_replies()
    }

    /// Moves all bytes to send into an empty buffer.
    pub(super) fn take_output(&self, buffer: &mut Vec<u8>) {
        let mut state = self.state.lock();
        if state.pipeline.has_output() {
            state.pipeline.take_output(buffer);
        }
    }

    /// Matches received values with their commands.
    pub(super) fn receive(&self, values: &mut Vec<Value>, events: &mut Vec<Event<ReplySender>>) {
        let mut state = self.state.lock();
        state.pipeline.heard();
        events.extend(values.drain(..).map(|value| state.pipeline.receive(value)));
    }

    /// Removes the senders whose deadline has passed. Returns `true` if they are evidence of
    /// another stall of the server, and the next deadline.
    pub(super) fn expire(
        &self,
        now: Moment,
        expired: &mut Vec<ReplySender>,
    ) -> (bool, Option<Moment>) {
        let mut state = self.state.lock();
        (state.pipeline.expire(now, expired), state.pipeline.next_deadline())
    }

    /// Returns the state, and begins the timeouts of new commands. From now on the next command
    /// wakes the driver.
    ///
    /// `handed_over` tells whether the kernel has accepted all bytes that were taken, and `busy`
    /// how long the process was too busy to run the driver.
    pub(super) fn status(
        &self,
        handed_over: bool,
        busy: Option<Duration>,
        now: impl FnOnce() -> Moment,
    ) -> DriverStatus {
        let mut state = self.state.lock();
        state.asleep = true;
        let State { pipeline, .. } = &mut *state;
        if let Some(late) = busy {
            pipeline.postpone(late);
        }
        if pipeline.has_untimed(handed_over) {
            pipeline.start_timeouts(now(), handed_over);
        }
        DriverStatus {
            closed: state.ended(),
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
}

impl State {
    /// Returns `true` if the connection is closing, and no caller waits for a reply.
    fn is_drained(&self) -> bool {
        self.closing && self.pipeline.is_idle()
    }

    fn ended(&self) -> Option<CloseReason> {
        self.closed.or_else(|| self.is_drained().then_some(CloseReason::Closed))
    }

    /// Returns an error if no more commands can be queued.
    fn check(&self, more: usize) -> Result<(), Error> {
        if let Some(reason) = self.closed.or(self.closing.then_some(CloseReason::Closed)) {
            return Err(reason.into());
        }
        if self.pipeline.in_flight() + more > WINDOW {
            let message =
                format!("too many commands in flight: a connection accepts at most {WINDOW}");
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        if self.pipeline.output_size() > WINDOW_BYTES {
            let message = "too many bytes wait to be sent: the network or the server is too slow";
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        Ok(())
    }

    fn enqueue(
        &mut self,
        request: &Request,
        routing: Routing,
        sender: ReplySender,
        timeout: Duration,
    ) {
        match routing {
            Routing::Asking => self.pipeline.push_ignored(&ASKING),
            Routing::Owner if request.tracked && self.opted_in => {
                self.pipeline.push_ignored(&CACHING);
            }
            Routing::Owner => {}
        }
        self.pipeline.push(&request.command, sender, timeout);
    }
}
