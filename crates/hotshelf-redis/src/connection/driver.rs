//! Carries bytes between a connection and its socket, on tokio.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use hotshelf_core::{BoxFuture, Error, ErrorKind, Moment};
use hotshelf_wire::resp::{Decoder, Value};
use hotshelf_wire::{Event, Handshake, Login, Progress};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::traffic::Waiter;
use super::{Connection, Ended};
use crate::errors;

/// How much is read at once, and above which size an idle buffer is given back.
const READ: usize = 256 << 10;
const LEAST: usize = 64 << 10;
const KEPT: usize = 1 << 20;

/// How often the driver goes round before it lets others run.
const ROUNDS: u32 = 64;

/// Any stream of bytes: TCP, a Unix socket, TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The task of one connection. Awaited, it gives the reason for the connection's end.
///
/// Dropping it ends the connection: no caller waits for a driver that is gone.
pub(crate) struct Driver {
    connection: Connection,
    stream: Box<dyn Stream>,
    decoder: Decoder,
    input: BytesMut,
    /// What is being written, and how much of it was.
    output: Vec<u8>,
    written: usize,
    flushed: bool,
    /// Whether callers were given a turn since the last write, to queue more.
    gathered: bool,
    /// Kept for their room.
    values: Vec<Value>,
    events: Vec<Event<Waiter>>,
    timer: Option<(Moment, BoxFuture<'static, ()>)>,
}

impl Driver {
    pub(crate) fn new(connection: Connection, stream: Box<dyn Stream>) -> Self {
        Self {
            connection,
            stream,
            decoder: Decoder::default(),
            input: BytesMut::new(),
            output: Vec::new(),
            written: 0,
            flushed: true,
            gathered: false,
            values: Vec::new(),
            events: Vec::new(),
            timer: None,
        }
    }

    /// Introduces us to the server, before any command.
    ///
    /// # Errors
    /// The server's, of kind [`ErrorKind::Authentication`] above all.
    pub(crate) async fn shake_hands(&mut self, login: Login) -> Result<(), Error> {
        let (mut handshake, mut commands) = Handshake::begin(login);
        loop {
            let mut output = Vec::new();
            commands.iter().for_each(|command| command.write_to(&mut output));
            self.stream.write_all(&output).await.map_err(away)?;
            self.stream.flush().await.map_err(away)?;
            commands = loop {
                let reply = self.next_value().await?;
                match handshake.receive(reply).map_err(errors::from_server)? {
                    Progress::Send(commands) => break commands,
                    Progress::Wait => {}
                    Progress::Done { .. } => return Ok(()),
                }
            };
        }
    }

    async fn next_value(&mut self) -> Result<Value, Error> {
        loop {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(Value::Push(_))) => {}
                Ok(Some(value)) => return Ok(value.without_attributes()),
                Ok(None) if self.stream.read_buf(&mut self.input).await.map_err(away)? == 0 => {
                    return Err(away(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(None) => {}
                Err(error) => {
                    let message = "what answers there speaks no RESP: is it Redis or Valkey?";
                    return Err(Error::new(ErrorKind::Unavailable, message).with_source(error));
                }
            }
        }
    }

    /// Reads what has come, and answers those who wait for it.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        if self.input.capacity() - self.input.len() < LEAST {
            self.input.reserve(READ);
        }
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(context));
        if !read.is_ok_and(|count| count > 0) {
            return Poll::Ready(Err(Ended::Cut));
        }
        let decoded = loop {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(value)) => self.values.push(value),
                Ok(None) => break Ok(()),
                Err(_) => break Err(Ended::Garbled),
            }
        };
        let traffic = &self.connection.shared.traffic;
        let received = traffic.receive(&mut self.values, &mut self.events);
        for event in self.events.drain(..) {
            if let Event::Reply(waiter, value) = event {
                // Who is gone needs no answer.
                let _ = waiter.send(Ok(value));
            }
        }
        Poll::Ready(received.map_err(|_| Ended::Garbled).and(decoded))
    }

    /// Writes until there is nothing more to write; pending while the other side is slow.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        loop {
            if self.written == self.output.len() {
                self.output.clear();
                self.output.shrink_to(KEPT);
                self.written = 0;
                self.connection.shared.traffic.take_output(&mut self.output);
            }
            let rest = &self.output[self.written..];
            if rest.is_empty() {
                break;
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, rest));
            match written {
                Ok(count) if count > 0 => self.written += count,
                _ => return Poll::Ready(Err(Ended::Cut)),
            }
            self.flushed = false;
            self.gathered = false;
        }
        if !self.flushed {
            let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
            self.flushed = true;
            return Poll::Ready(flushed.map_err(|_| Ended::Cut));
        }
        Poll::Ready(Ok(()))
    }

    /// Answers those whose deadline has passed, and sets the timer to the next one: one
    /// timer for all, which is set anew no oftener than the shortest deadline.
    fn poll_deadlines(&mut self, mut next: Option<Moment>, context: &mut Context<'_>) {
        let runtime = &self.connection.shared.runtime;
        while let Some(deadline) = next {
            if self.timer.as_ref().is_none_or(|(due, _)| *due > deadline) {
                let wait = deadline.since(runtime.now());
                self.timer = Some((deadline, runtime.sleep(wait)));
            }
            let due = self.timer.as_mut().map(|(_, timer)| timer.as_mut().poll(context));
            if due.is_none_or(|due| due.is_pending()) {
                return;
            }
            self.timer = None;
            let mut expired = Vec::new();
            next = self.connection.shared.traffic.expire(runtime.now(), &mut expired);
            let late = Error::new(ErrorKind::Timeout, "the server didn't answer in time");
            for waiter in expired {
                let _ = waiter.send(Err(late.clone()));
            }
        }
    }

    fn poll_traffic(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        let traffic = &self.connection.shared.traffic;
        traffic.register(context.waker());
        if !self.gathered && traffic.can_gather() {
            self.gathered = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        for _ in 0..ROUNDS {
            let written = self.poll_write(context);
            if let Poll::Ready(Err(why)) = written {
                return Poll::Ready(why);
            }
            match self.poll_read(context) {
                Poll::Ready(Err(why)) => return Poll::Ready(why),
                Poll::Ready(Ok(())) => continue,
                Poll::Pending => {}
            }
            let rest = self.connection.shared.traffic.rest();
            if let Some(why) = rest.ended {
                return Poll::Ready(why);
            }
            if !rest.has_output || written.is_pending() {
                self.poll_deadlines(rest.deadline, context);
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Future for Driver {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let why = ready!(self.poll_traffic(context));
        self.connection.give_up(why);
        Poll::Ready(self.connection.ended().unwrap_or(why))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.connection.give_up(Ended::Cut);
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Driver");
        debug.field("connection", &self.connection).finish_non_exhaustive()
    }
}

fn away(error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the server can't be reached").with_source(error)
}
