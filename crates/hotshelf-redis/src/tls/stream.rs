//! A TLS stream on any stream of bytes.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, BufRead, Write};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rustls::ClientConnection;

use crate::connection::ByteStream;

/// The number of bytes to read from the stream at once.
const ROOM: usize = 32 << 10;

/// An encrypted stream.
pub struct TlsStream<S> {
    connection: ClientConnection,
    stream: S,
    /// Received bytes, encrypted.
    input: BytesMut,
    /// Bytes to send, encrypted, and the number of those already sent.
    output: Vec<u8>,
    written: usize,
    /// Whether the server has replied to the handshake.
    received: bool,
}

/// The error of a handshake with a server that answers with something else, or hangs up.
fn not_tls() -> io::Error {
    let message = "the server doesn't seem to speak TLS: use redis:// in the URL, or its TLS port";
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn is_not_tls(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::InvalidMessage(_)))
}

impl<S: ByteStream> TlsStream<S> {
    /// Performs the TLS handshake on a stream.
    pub(super) async fn connect(connection: ClientConnection, stream: S) -> io::Result<Self> {
        let (input, output) = (BytesMut::new(), Vec::new());
        let mut tls = Self { connection, stream, input, output, written: 0, received: false };
        poll_fn(|context| tls.poll_handshake(context)).await?;
        Ok(tls)
    }

    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.connection.is_handshaking() {
            ready!(self.poll_send(context))?;
            if !self.connection.is_handshaking() {
                break;
            }
            match ready!(self.poll_receive(context)) {
                Ok(true) => self.received = true,
                Ok(false) if !self.received => return Poll::Ready(Err(not_tls())),
                Ok(false) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Err(error) if is_not_tls(&error) => return Poll::Ready(Err(not_tls())),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.poll_send(context)
    }

    /// Decrypts a part of the received bytes, or waits for more; returns `false` at the end.
    ///
    /// Only a part: the decrypted bytes have to be consumed before there is room for more.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.input.is_empty() {
            self.input.reserve(ROOM);
            if ready!(self.stream.poll_read(context, &mut self.input))? == 0 {
                return Poll::Ready(Ok(false));
            }
        }
        let taken = self.connection.read_tls(&mut &self.input[..])?;
        self.input.advance(taken);
        if let Err(error) = self.connection.process_new_packets() {
            // Sends the alert with the reason, if the server still reads.
            let _ = self.poll_send(context);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(true))
    }

    /// Encrypts and sends all pending bytes.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.connection.wants_write() {
                self.connection.write_tls(&mut self.output)?;
            }
            if self.written == self.output.len() {
                self.output.clear();
                self.written = 0;
                return self.stream.poll_flush(context);
            }
            let rest = &self.output[self.written..];
            match ready!(self.stream.poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
    }
}

impl<S: ByteStream> ByteStream for TlsStream<S> {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut reader = self.connection.reader();
            match reader.fill_buf() {
                Ok(chunk) => {
                    let count = chunk.len();
                    buffer.extend_from_slice(chunk);
                    reader.consume(count);
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            if !ready!(self.poll_receive(context))? {
                return Poll::Ready(Ok(0));
            }
            // TLS itself may have to reply.
            if self.connection.wants_write() {
                let _sent_later = self.poll_send(context)?;
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // The buffer is bounded: pending bytes have to be sent first.
        ready!(self.poll_send(context))?;
        let count = self.connection.writer().write(bytes)?;
        let _sent_later = self.poll_send(context)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(context)
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsStream").finish_non_exhaustive()
    }
}
