//! Sockets watched by an event loop.

use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_channel::oneshot;
use hotshelf_redis::{Address, ByteStream, Endpoint, connect_to_any};
use mio::net::{TcpStream, UnixStream};

use crate::executor::{Executor, Source, Watched};
use crate::runtime::LoopRuntime;

/// A connected socket.
pub(crate) struct Socket<S: Watched> {
    source: Source<S>,
    /// The buffer of `read`, which can't read into uninitialized memory.
    scratch: Box<[u8]>,
}

/// A connected socket of any kind.
pub(crate) enum Stream {
    Tcp(Socket<TcpStream>),
    Unix(Socket<UnixStream>),
}

impl Stream {
    /// Connects without blocking. Each name is resolved on its own thread.
    pub(crate) async fn connect(address: &Address) -> io::Result<Self> {
        let executor = Executor::current().ok_or(ErrorKind::NotConnected)?;
        match address {
            Address::Unix(path) => {
                let source = Source::new(UnixStream::connect(path)?, executor)?;
                Ok(Self::Unix(connected(source, UnixStream::take_error).await?))
            }
            Address::Tcp(endpoint) => {
                let connect = |address| Self::connect_tcp(address, Arc::clone(&executor));
                connect_to_any(&LoopRuntime, resolve(endpoint).await?, connect).await
            }
            _ => Err(ErrorKind::Unsupported.into()),
        }
    }

    async fn connect_tcp(address: SocketAddr, executor: Arc<Executor>) -> io::Result<Self> {
        let source = Source::new(TcpStream::connect(address)?, executor)?;
        let socket = connected(source, TcpStream::take_error).await?;
        socket.source.socket.set_nodelay(true)?;
        hotshelf_redis::watch_peer(&socket.source.socket)?;
        Ok(Self::Tcp(socket))
    }
}

async fn resolve(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = endpoint.host().parse() {
        return Ok(vec![SocketAddr::new(address, endpoint.port())]);
    }
    let (sender, resolved) = oneshot::channel();
    let endpoint = endpoint.clone();
    std::thread::Builder::new().name("hotshelf-resolver".into()).spawn(move || {
        let addresses = (endpoint.host(), endpoint.port()).to_socket_addrs();
        // The receiver is dropped if connecting was abandoned.
        let _ = sender.send(addresses.map(Iterator::collect));
    })?;
    resolved.await.unwrap_or_else(|_| Err(ErrorKind::Interrupted.into()))
}

/// Waits until a socket is connected.
async fn connected<S: Watched>(
    source: Source<S>,
    error_of: fn(&S) -> io::Result<Option<io::Error>>,
) -> io::Result<Socket<S>> {
    poll_fn(|context| source.readiness.poll_writable(context)).await;
    match error_of(&source.socket)? {
        Some(error) => Err(error),
        None => Ok(Socket { source, scratch: vec![0; READ].into() }),
    }
}

impl<S: Watched + Read + Write> Socket<S> {
    fn poll_read(
        &mut self,
        context: &Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let Self { source, scratch } = self;
        loop {
            ready!(source.readiness.poll_readable(context));
            match source.socket.read(scratch) {
                Ok(count) => {
                    // A short read drained the socket: wait for the next event.
                    if count > 0 && count < scratch.len() {
                        source.readiness.clear_readable();
                    }
                    buffer.extend_from_slice(&scratch[..count]);
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    source.readiness.clear_readable()
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_write(&mut self, context: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.source.readiness.poll_writable(context));
            match self.source.socket.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.source.readiness.clear_writable();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

/// The number of bytes read at once.
const READ: usize = 64 << 10;

impl ByteStream for Stream {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => socket.poll_read(context, buffer),
            Self::Unix(socket) => socket.poll_read(context, buffer),
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => socket.poll_write(context, bytes),
            Self::Unix(socket) => socket.poll_write(context, bytes),
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
