//! The driver's side of a connection.

use std::fmt;
use std::task::{Context, Poll};

use bytes::BytesMut;
use hotshelf_core::{BoxFuture, Error, ErrorKind, Moment};
use hotshelf_wire::Event;
use hotshelf_wire::resp::{Decoder, Value};

use super::close_reason::CloseReason;
use super::handle::Connection;
use super::input::Input;
use super::reply_channel::ReplySender;
use super::traffic::DriverStatus;

/// The driver's side of a connection: bytes to send, received bytes, deadlines.
///
/// [`Session::carry`] is the driver of a [`ByteStream`](crate::ByteStream). A custom driver
/// [registers](Self::register) its waker, [takes](Self::take_output) the bytes to send, reads
/// into [`Self::input`] and reports the bytes as [received](Self::received), and checks the
/// [status](Self::status) before it sleeps. Dropping the session closes the connection, so that
/// no caller waits for a driver that has ended.
pub struct Session {
    connection: Connection,
    decoder: Decoder,
    input: Input,
    /// Kept for its capacity.
    values: Vec<Value>,
    events: Vec<Event<ReplySender>>,
    timer: Option<(Moment, BoxFuture<'static, ()>)>,
}

impl Session {
    /// Creates the session of a connection, which has only one.
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            decoder: Decoder::default(),
            input: Input::default(),
            values: Vec::new(),
            events: Vec::new(),
            timer: None,
        }
    }

    /// Registers the waker for new commands and the end of the connection.
    pub fn register(&self, context: &Context<'_>) {
        self.connection.shared.traffic.register(context.waker());
    }

    /// Returns the buffer to append received bytes to. It has room for at least 64 KiB.
    pub fn input(&mut self) -> &mut BytesMut {
        self.input.with_room()
    }

    /// Decodes the bytes that were appended to [`Self::input`], and delivers the replies.
    ///
    /// # Errors
    /// If they are invalid: the stream can't be used any more.
    pub fn received(&mut self) -> Result<(), CloseReason> {
        let decoded = loop {
            match self.decoder.decode(self.input.buffer()) {
                Ok(Some(value)) => self.values.push(value),
                Ok(None) => break Ok(()),
                Err(_) => break Err(CloseReason::ProtocolError),
            }
        };
        let shared = &self.connection.shared;
        shared.traffic.receive(&mut self.values, &mut self.events);
        if self.events.iter().any(|event| matches!(event, Event::Reply(..))) {
            shared.answered();
        }
        let mut expected = Ok(());
        for event in self.events.drain(..) {
            match event {
                Event::Reply(sender, value) => sender.send(Ok(value)),
                Event::Push(push) => shared.listener.on_push(push),
                Event::Unsolicited(value) => {
                    if !shared.listener.on_unsolicited(value) {
                        expected = Err(CloseReason::ProtocolError);
                    }
                }
                Event::Late => {}
            }
        }
        expected.and(decoded)
    }

    /// Moves all bytes to send into an empty buffer.
    pub fn take_output(&self, buffer: &mut Vec<u8>) {
        self.connection.shared.traffic.take_output(buffer);
    }

    /// Returns `true` if queued commands may wait for more, at no cost: the server is busy
    /// with earlier ones.
    #[must_use]
    pub fn can_gather(&self) -> bool {
        self.connection.shared.traffic.can_gather()
    }

    /// Returns the state to check before sleeping. From now on the next command wakes the
    /// driver.
    #[must_use]
    pub fn status(&self) -> DriverStatus {
        self.connection.shared.traffic.status()
    }

    /// Fails the commands whose deadline has passed, and wakes the driver for the next one. All
    /// deadlines share one timer, which is set no more often than the shortest of them.
    pub fn poll_deadlines(&mut self, mut next: Option<Moment>, context: &mut Context<'_>) {
        let shared = &self.connection.shared;
        while let Some(deadline) = next {
            if self.timer.as_ref().is_none_or(|(due, _)| *due > deadline) {
                let wait = deadline.since(shared.runtime.now());
                self.timer = Some((deadline, shared.runtime.sleep(wait)));
            }
            let due = self.timer.as_mut().map(|(_, timer)| timer.as_mut().poll(context));
            if due.is_none_or(|due: Poll<()>| due.is_pending()) {
                return;
            }
            self.timer = None;
            let mut expired = Vec::new();
            let (new_stall, deadline) = shared.traffic.expire(shared.runtime.now(), &mut expired);
            next = deadline;
            let late = Error::new(ErrorKind::Timeout, "the server didn't reply in time");
            for sender in expired {
                sender.send(Err(late.clone()));
            }
            if new_stall {
                shared.timed_out();
            }
        }
    }

    /// Closes the connection, and returns the first reason for closing it.
    pub fn end(&self, reason: CloseReason) -> CloseReason {
        self.connection.abort(reason);
        self.connection.closed().unwrap_or(reason)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort(CloseReason::Disconnected);
        self.connection.shared.listener.on_close();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Session");
        debug.field("connection", &self.connection).finish_non_exhaustive()
    }
}
