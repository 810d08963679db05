//! The driver that carries bytes between a session and its stream.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use hotshelf_core::BoxFuture;

use super::close_reason::CloseReason;
use super::session::Session;

/// The capacity to which an idle output buffer is shrunk.
const KEPT: usize = 1 << 20;

/// The number of rounds, and of received bytes, after which the driver yields to other tasks.
const ROUNDS: u32 = 64;
const SHARE: usize = 1 << 20;

/// A non-blocking stream of bytes: the socket of an event loop, or TLS on top of one.
pub trait ByteStream: Send + Unpin + 'static {
    /// Reads bytes into the free space of the buffer and returns their number; 0 means the end
    /// of the stream.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>>;

    /// Writes some of the bytes and returns their number.
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Sends written bytes that are still buffered.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Session {
    /// Carries the session's bytes over a stream until one of them ends, and returns the reason.
    pub fn carry(self, stream: impl ByteStream) -> BoxFuture<'static, CloseReason> {
        Box::pin(Driver::new(self, stream))
    }
}

/// A future that carries a session's bytes, and resolves to the reason for its end.
struct Driver<S> {
    session: Session,
    stream: S,
    /// The bytes to write, and the number of those already written.
    output: Vec<u8>,
    written: usize,
    flushed: bool,
    /// Whether the driver has yielded since the last write, for callers to queue more
    /// commands.
    gathered: bool,
}

impl<S: ByteStream> Driver<S> {
    fn new(session: Session, stream: S) -> Self {
        Self { session, stream, output: Vec::new(), written: 0, flushed: true, gathered: false }
    }

    /// Reads received bytes, delivers the replies, and returns the number of bytes.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, CloseReason>> {
        let read = ready!(self.stream.poll_read(context, self.session.input()));
        match read {
            Ok(count @ 1..) => Poll::Ready(self.session.received().map(|()| count)),
            Ok(0) | Err(_) => Poll::Ready(Err(CloseReason::Disconnected)),
        }
    }

    /// Writes all queued bytes; pending while the stream doesn't accept more.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        loop {
            if self.written == self.output.len() {
                self.output.clear();
                self.output.shrink_to(KEPT);
                self.written = 0;
                self.session.take_output(&mut self.output);
            }
            let rest = &self.output[self.written..];
            if rest.is_empty() {
                break;
            }
            let written = ready!(self.stream.poll_write(context, rest));
            match written {
                Ok(count) if count > 0 => self.written += count,
                _ => return Poll::Ready(Err(CloseReason::Disconnected)),
            }
            self.flushed = false;
            self.gathered = false;
        }
        if !self.flushed {
            let flushed = ready!(self.stream.poll_flush(context));
            self.flushed = true;
            return Poll::Ready(flushed.map_err(|_| CloseReason::Disconnected));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_session(&mut self, context: &mut Context<'_>) -> Poll<CloseReason> {
        self.session.register(context);
        if !self.gathered && self.session.can_gather() {
            self.gathered = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut received = 0;
        for _ in 0..ROUNDS {
            if received > SHARE {
                break;
            }
            let written = self.poll_write(context);
            if let Poll::Ready(Err(reason)) = written {
                return Poll::Ready(reason);
            }
            match self.poll_read(context) {
                Poll::Ready(Err(reason)) => return Poll::Ready(reason),
                Poll::Ready(Ok(count)) => {
                    received += count;
                    continue;
                }
                Poll::Pending => {}
            }
            let status = self.session.status(written.is_ready());
            if let Some(reason) = status.closed {
                return Poll::Ready(reason);
            }
            if !status.has_output || written.is_pending() {
                self.session.poll_deadlines(status.deadline, context);
                // The last command that kept a closing connection open may have expired.
                return self.session.closed().map_or(Poll::Pending, Poll::Ready);
            }
        }
        if let Some(reason) = self.session.closed() {
            return Poll::Ready(reason);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: ByteStream> Future for Driver<S> {
    type Output = CloseReason;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<CloseReason> {
        let reason = ready!(self.poll_session(context));
        Poll::Ready(self.session.end(reason))
    }
}
