//! The driver's side of a connection.

use std::fmt;
use std::task::Context;
use std::time::Duration;

use bytes::BytesMut;
use hotshelf_core::timeout::{STEP, TOLERANCE};
use hotshelf_core::{BoxFuture, Error, ErrorKind, Moment};
use hotshelf_wire::Event;
use hotshelf_wire::resp::{Decoder, Value};

use super::close_reason::CloseReason;
use super::handle::Connection;
use super::input::Input;
use super::reply_channel::ReplySender;
use super::traffic::DriverStatus;

/// The first byte of an alert of TLS (RFC 8446, section 5.1), with which a server answers what
/// is not TLS. No reply begins with it.
const TLS_ALERT: u8 = 0x15;

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
    /// Whether nothing was in flight when the driver last went to sleep.
    idle: bool,
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
            idle: true,
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
        if self.connection.heard() == 0 && self.input.buffer().first() == Some(&TLS_ALERT) {
            return Err(CloseReason::SpeaksTls);
        }
        let decoded = loop {
            match self.decoder.decode(self.input.buffer()) {
                Ok(Some(value)) => self.values.push(value),
                Ok(None) => break Ok(()),
                Err(_) => break Err(CloseReason::ProtocolError),
            }
        };
        let shared = &self.connection.shared;
        shared.heard();
        shared.traffic.receive(&mut self.values, &mut self.events);
        if self.events.iter().any(|event| matches!(event, Event::Reply(..))) {
            shared.answered();
        }
        let mut in_step = true;
        for event in self.events.drain(..) {
            match event {
                // The rest may answer other commands: dropping it reports a lost connection.
                _ if !in_step => {}
                Event::Reply(sender, value) => sender.send(Ok(value)),
                Event::Push(push) => in_step = shared.listener.on_push(push),
                Event::Unsolicited(value) => {
                    if let Value::Error(error) = &value {
                        shared.note_last_words(error);
                    }
                    in_step = shared.listener.on_unsolicited(value);
                }
                Event::Mismatched(_) => in_step = false,
                // `CLIENT CACHING` was refused: what is read behind it isn't tracked.
                Event::LateError => shared.end_source(),
                Event::Late => {}
            }
        }
        match in_step {
            true => decoded,
            false => Err(CloseReason::ProtocolError),
        }
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

    /// Returns the state to check before sleeping, and begins the timeouts of new commands.
    /// From now on the next command wakes the driver.
    ///
    /// `handed_over` tells whether the kernel has accepted all bytes that were taken. A driver
    /// calls it after it has written what it can and read what has arrived.
    pub fn status(&mut self, handed_over: bool) -> DriverStatus {
        let busy = self.was_busy();
        let shared = &self.connection.shared;
        let status = shared.traffic.status(handed_over, busy, || shared.runtime.now());
        self.idle = status.deadline.is_none();
        status
    }

    /// Returns how long the process was too busy to run the driver: how late its timer is, if
    /// anything was in flight.
    fn was_busy(&mut self) -> Option<Duration> {
        let (due, _) = self.timer.as_ref()?;
        let runtime = &self.connection.shared.runtime;
        let late = runtime.now().since(*due);
        if late.is_zero() || (late <= TOLERANCE && !self.idle) {
            return None;
        }
        self.timer = None;
        // While nothing was in flight, nobody waited for the timer.
        (!self.idle).then(|| {
            runtime.note_busy(late);
            late
        })
    }

    /// Fails the commands whose deadline has passed, and wakes the driver for the next one. All
    /// deadlines share one timer, which is due every [`STEP`] at most: so the driver notices
    /// that the process was too busy to run it, and doesn't count that time.
    pub fn poll_deadlines(&mut self, mut next: Option<Moment>, context: &mut Context<'_>) {
        let shared = &self.connection.shared;
        while let Some(deadline) = next {
            let timer = match &mut self.timer {
                Some((due, timer)) if *due <= deadline => Some(timer),
                timer => {
                    let now = shared.runtime.now();
                    let wait = deadline.since(now).min(STEP);
                    // A deadline that has passed needs no timer: it would be due even later.
                    let starting = !wait.is_zero();
                    *timer = starting.then(|| (now + wait, shared.runtime.sleep(wait)));
                    timer.as_mut().map(|(_, timer)| timer)
                }
            };
            if timer.is_some_and(|timer| timer.as_mut().poll(context).is_pending()) {
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

    /// Returns the reason for the end of the driver, if it has to end.
    #[must_use]
    pub fn closed(&self) -> Option<CloseReason> {
        self.connection.shared.traffic.ended()
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
        self.connection.shared.notify_end();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Session");
        debug.field("connection", &self.connection).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Poll, Waker};

    use futures_util::FutureExt;
    use hotshelf_core::Runtime;
    use hotshelf_wire::resp::Command;

    use super::super::listener::Listener;
    use super::super::request::{Request, Routing};
    use super::*;

    /// A clock in microseconds that goes on by a little whenever it is read.
    #[derive(Clone, Debug, Default)]
    struct Clock(Arc<AtomicU64>);

    impl Clock {
        fn advance(&self, millis: u64) {
            self.0.fetch_add(millis * 1_000, Ordering::Relaxed);
        }
    }

    impl Runtime for Clock {
        fn now(&self) -> Moment {
            Moment::after_start(Duration::from_micros(self.0.fetch_add(1, Ordering::Relaxed)))
        }

        /// Like tokio's, it takes at least a millisecond.
        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            let duration = duration.max(Duration::from_millis(1));
            let (clock, due) = (self.clone(), self.now() + duration);
            Box::pin(poll_fn(move |_| match clock.now() >= due {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }))
        }

        fn spawn(&self, _: BoxFuture<'static, ()>) {}

        fn random(&self) -> u64 {
            0
        }
    }

    struct Nobody;

    impl Listener for Nobody {
        fn on_push(&self, _: Vec<Value>) -> bool {
            false
        }

        fn on_close(&self) {}
    }

    type Outcomes = Vec<Option<Result<Value, Error>>>;

    /// Sends commands, and returns the outcomes after these bytes were received.
    fn outcomes(commands: &[&str], bytes: &[u8]) -> (Outcomes, Result<(), CloseReason>) {
        let connection = Connection::new(Arc::new(Clock::default()), Arc::new(Nobody));
        let mut session = Session::new(connection.clone());
        let requests: Vec<Request> =
            commands.iter().map(|name| Command::new(name).into()).collect();
        let timeout = Duration::from_millis(100);
        let send = |request| Box::pin(connection.send(request, Routing::Owner, timeout).unwrap());
        let mut calls: Vec<_> = requests.iter().map(send).collect();
        calls.iter_mut().for_each(|call| assert!(call.as_mut().now_or_never().is_none()));
        session.take_output(&mut Vec::new());
        session.input().extend_from_slice(bytes);
        let received = session.received();
        drop(session);
        (calls.into_iter().map(FutureExt::now_or_never).collect(), received)
    }

    /// A reply too many shifts all later ones to other commands.
    #[test]
    fn nobody_is_given_the_reply_to_another_command() {
        for (bytes, answered) in [
            (b"$1\r\na\r\n$1\r\nb\r\n:1\r\n".as_slice(), 1),
            (b">3\r\n+subscribe\r\n+x\r\n:1\r\n$1\r\na\r\n:1\r\n", 0),
        ] {
            let (outcomes, received) = outcomes(&["GET", "PTTL", "GET"], bytes);
            assert_eq!(received, Err(CloseReason::ProtocolError));
            for (position, outcome) in outcomes.into_iter().enumerate() {
                let outcome = outcome.expect("the connection was closed");
                assert_eq!(outcome.is_ok(), position < answered, "{outcome:?}");
            }
        }
    }

    #[test]
    fn tls_is_recognised() {
        let (_, received) = outcomes(&["HELLO"], &[0x15, 3, 1, 0, 2, 2, 0x46]);
        assert_eq!(received, Err(CloseReason::SpeaksTls));
    }

    /// Timers that are late by more than the tolerance postpone a deadline to about the present.
    #[test]
    fn deadline_passes_although_timers_are_late() {
        let clock = Clock::default();
        let connection = Connection::new(Arc::new(clock.clone()), Arc::new(Nobody));
        let mut session = Session::new(connection.clone());
        let ping = Command::new("PING").into();
        let timeout = Duration::from_millis(100);
        let mut reply = pin!(connection.send(&ping, Routing::Owner, timeout).unwrap());
        assert!(reply.as_mut().now_or_never().is_none());
        session.take_output(&mut Vec::new());
        let mut context = Context::from_waker(Waker::noop());
        for late in [10, 10, 10, 0, 0, 0] {
            let status = session.status(true);
            session.poll_deadlines(status.deadline, &mut context);
            clock.advance(if late > 0 { 50 + late } else { 1 });
        }
        let error = reply.now_or_never().expect("the deadline has passed").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }
}
