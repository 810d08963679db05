//! Carries bytes between a session and its stream.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;

use super::{Ended, Session};

/// Above which size an idle buffer is given back.
const KEPT: usize = 1 << 20;

/// How often the driver goes round before it lets others run.
const ROUNDS: u32 = 64;

/// A stream of bytes that never blocks: a socket of some event loop, TLS on one.
pub trait ByteStream: Send + Unpin + 'static {
    /// Reads what has come behind what the buffer holds, at most as much as it has room for;
    /// 0 means that nothing will come any more.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>>;

    /// Writes some of the bytes.
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Sends what was written and is still kept.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Carries a session's bytes; awaited, it gives the reason for the end.
pub(super) struct Driver<S> {
    session: Session,
    stream: S,
    /// What is being written, and how much of it was.
    output: Vec<u8>,
    written: usize,
    flushed: bool,
    /// Whether callers were given a turn since the last write, to queue more.
    gathered: bool,
}

impl<S: ByteStream> Driver<S> {
    pub(super) fn new(session: Session, stream: S) -> Self {
        Self { session, stream, output: Vec::new(), written: 0, flushed: true, gathered: false }
    }

    /// Reads what has come, and answers those who wait for it.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let read = ready!(self.stream.poll_read(context, self.session.input()));
        match read {
            Ok(1..) => Poll::Ready(self.session.received()),
            Ok(0) | Err(_) => Poll::Ready(Err(Ended::Cut)),
        }
    }

    /// Writes until there is nothing more to write; pending while the other side is slow.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
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
                _ => return Poll::Ready(Err(Ended::Cut)),
            }
            self.flushed = false;
            self.gathered = false;
        }
        if !self.flushed {
            let flushed = ready!(self.stream.poll_flush(context));
            self.flushed = true;
            return Poll::Ready(flushed.map_err(|_| Ended::Cut));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_session(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        self.session.register(context);
        if !self.gathered && self.session.can_gather() {
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
            let rest = self.session.rest();
            if let Some(why) = rest.ended {
                return Poll::Ready(why);
            }
            if !rest.has_output || written.is_pending() {
                self.session.poll_deadlines(rest.deadline, context);
                // The last one that a closed connection was kept for may have run out of time.
                return self.session.rest().ended.map_or(Poll::Pending, Poll::Ready);
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: ByteStream> Future for Driver<S> {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let why = ready!(self.poll_session(context));
        Poll::Ready(self.session.end(why))
    }
}
