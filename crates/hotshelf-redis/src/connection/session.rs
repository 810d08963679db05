//! A connection as the one sees it who carries its bytes.

use std::fmt;
use std::task::{Context, Poll};

use bytes::BytesMut;
use hotshelf_core::{BoxFuture, Error, ErrorKind, Moment};
use hotshelf_wire::Event;
use hotshelf_wire::resp::{Decoder, Value};

use super::answer::Waiter;
use super::driver::{ByteStream, Driver};
use super::input::Input;
use super::{Connection, Ended, Rest};

/// A connection as its driver sees it: bytes to send, bytes that have come, deadlines.
///
/// [`Session::carry`] is the driver for whoever has a [`ByteStream`]. Another one
/// [registers](Self::register) its waker, sends what it [takes](Self::take_output), reads into
/// [`Self::input`], says that it has [received](Self::received), and before it sleeps looks
/// what is [left to do](Self::rest). Dropping the session ends the connection: no caller waits
/// for a driver that is gone.
pub struct Session {
    connection: Connection,
    decoder: Decoder,
    input: Input,
    /// Kept for their room.
    values: Vec<Value>,
    events: Vec<Event<Waiter>>,
    timer: Option<(Moment, BoxFuture<'static, ()>)>,
}

impl Session {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            decoder: Decoder::default(),
            input: Input::default(),
            values: Vec::new(),
            events: Vec::new(),
            timer: None,
        }
    }

    /// Carries the session's bytes on a stream until one of them ends, and gives the reason.
    pub fn carry(self, stream: impl ByteStream) -> BoxFuture<'static, Ended> {
        Box::pin(Driver::new(self, stream))
    }

    /// Registers who is woken when there is something to send, or the connection has ended.
    pub fn register(&self, context: &Context<'_>) {
        self.connection.shared.traffic.register(context.waker());
    }

    /// Gives the buffer to read into, behind what it holds. It has room for 64 KiB at least.
    pub fn input(&mut self) -> &mut BytesMut {
        self.input.with_room()
    }

    /// Takes what was read into [`Self::input`], and answers those who wait for it.
    ///
    /// # Errors
    /// If it is not understood: the stream is of no use any more.
    pub fn received(&mut self) -> Result<(), Ended> {
        let decoded = loop {
            match self.decoder.decode(self.input.buffer()) {
                Ok(Some(value)) => self.values.push(value),
                Ok(None) => break Ok(()),
                Err(_) => break Err(Ended::Garbled),
            }
        };
        let shared = &self.connection.shared;
        shared.traffic.receive(&mut self.values, &mut self.events);
        if self.events.iter().any(|event| matches!(event, Event::Reply(..))) {
            shared.answered();
        }
        let mut understood = Ok(());
        for event in self.events.drain(..) {
            match event {
                Event::Reply(waiter, value) => waiter.give(Ok(value)),
                Event::Push(push) => shared.listener.heard(push),
                Event::Unasked(value) => {
                    if !shared.listener.unasked(value) {
                        understood = Err(Ended::Garbled);
                    }
                }
                Event::Late => {}
            }
        }
        understood.and(decoded)
    }

    /// Takes all that is to be sent, into an empty buffer; nothing leaves it empty.
    pub fn take_output(&self, buffer: &mut Vec<u8>) {
        self.connection.shared.traffic.take_output(buffer);
    }

    /// Says whether what is queued may wait for more: the server works on earlier commands.
    #[must_use]
    pub fn can_gather(&self) -> bool {
        self.connection.shared.traffic.can_gather()
    }

    /// Says what is left to do. From now on the next command wakes the driver.
    #[must_use]
    pub fn rest(&self) -> Rest {
        self.connection.shared.traffic.rest()
    }

    /// Answers those whose deadline has passed, and wakes the driver for the next one: by
    /// one timer for all, which is set anew no oftener than the shortest deadline.
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
            let (news, deadline) = shared.traffic.expire(shared.runtime.now(), &mut expired);
            next = deadline;
            let late = Error::new(ErrorKind::Timeout, "the server didn't answer in time");
            for waiter in expired {
                waiter.give(Err(late.clone()));
            }
            if news {
                shared.timed_out();
            }
        }
    }

    /// Ends the connection, and gives the reason that came first.
    pub fn end(&self, why: Ended) -> Ended {
        self.connection.give_up(why);
        self.connection.ended().unwrap_or(why)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.give_up(Ended::Cut);
        self.connection.shared.listener.ended();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Session");
        debug.field("connection", &self.connection).finish_non_exhaustive()
    }
}
