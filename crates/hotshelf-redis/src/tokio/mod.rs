//! tokio as the transport: TCP, Unix sockets, TLS.

#[cfg(feature = "tls")]
mod tls;

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use hotshelf_core::{BoxFuture, Error, ErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::connection::{ByteStream, Session};
use crate::options::{Address, RedisOptions};
use crate::peer::watch_peer;
use crate::transport::{Carrier, Transport};
#[cfg(feature = "tls")]
use tls::Tls;

/// Streams of tokio.
#[derive(Debug)]
pub(crate) struct TokioTransport {
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl TokioTransport {
    /// Prepares what streams need.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for certificates that can't be read, of kind
    /// [`ErrorKind::Unsupported`] for TLS where it isn't in this build.
    pub(crate) fn new(options: &RedisOptions) -> Result<Self, Error> {
        #[cfg(not(feature = "tls"))]
        if options.tls.is_some() {
            let message = "TLS is not in this build: enable the feature `tls`";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(Self {
            #[cfg(feature = "tls")]
            tls: options.tls.as_ref().map(Tls::new).transpose()?,
        })
    }

    async fn stream(&self, address: &Address) -> io::Result<Box<dyn Stream>> {
        let endpoint = match address {
            Address::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            Address::Tcp(endpoint) => endpoint,
        };
        let stream = TcpStream::connect((endpoint.host(), endpoint.port())).await?;
        stream.set_nodelay(true)?;
        watch_peer(&stream)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Ok(Box::new(tls.connect(endpoint.host(), stream).await?));
        }
        Ok(Box::new(stream))
    }
}

/// Any stream of tokio: TCP, a Unix socket, TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

struct Socket(Box<dyn Stream>);

impl ByteStream for Socket {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        pin!(self.0.read_buf(buffer)).poll(context)
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }
}

impl Transport for TokioTransport {
    fn open<'a>(
        &'a self,
        address: &'a Address,
        session: Session,
    ) -> BoxFuture<'a, Result<Carrier, Error>> {
        Box::pin(async move {
            match self.stream(address).await {
                Ok(stream) => Ok(session.carry(Socket(stream))),
                Err(error) => {
                    let message = "the server can't be reached";
                    Err(Error::new(ErrorKind::Unavailable, message).with_source(error))
                }
            }
        })
    }
}
