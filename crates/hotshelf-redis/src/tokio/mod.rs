//! The transport on tokio: TCP, Unix sockets, TLS.

use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures_util::FutureExt;
use hotshelf_core::{BoxFuture, Error, Runtime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};

use crate::addresses::connect_to_any;
use crate::connection::{ByteStream, Session};
use crate::options::{Address, RedisOptions};
use crate::peer::watch_peer;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::transport::{Carrier, Peer, Transport};

/// Opens tokio's sockets.
#[derive(Debug)]
pub(crate) struct TokioTransport {
    runtime: Arc<dyn Runtime>,
    #[cfg(feature = "tls")]
    tls: Tls,
}

impl TokioTransport {
    /// Creates the transport.
    ///
    /// # Errors
    /// Of kind `Configuration` for invalid certificates, of kind `Unsupported` for TLS in a
    /// build without it.
    pub(crate) fn new(options: &RedisOptions, runtime: Arc<dyn Runtime>) -> Result<Self, Error> {
        #[cfg(not(feature = "tls"))]
        if options.tls.is_some() || options.tls_to_sentinels().is_some() {
            let message = "TLS is not part of this build: enable the feature `tls`";
            return Err(Error::new(hotshelf_core::ErrorKind::Unsupported, message));
        }
        Ok(Self {
            runtime,
            #[cfg(feature = "tls")]
            tls: Tls::new(options)?,
        })
    }

    async fn carry(
        &self,
        #[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "only TLS differs"))]
        peer: Peer,
        address: &Address,
        session: Session,
    ) -> io::Result<Carrier> {
        if tokio::runtime::Handle::try_current().is_err() {
            let message = "no tokio runtime: use the store from inside of one";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        let endpoint = match address {
            Address::Unix(path) => {
                return Ok(session.carry(Socket(UnixStream::connect(path).await?)));
            }
            Address::Tcp(endpoint) => endpoint,
        };
        let addresses = lookup_host((endpoint.host(), endpoint.port())).await?;
        let stream = connect_to_any(&*self.runtime, addresses, TcpStream::connect).await?;
        stream.set_nodelay(true)?;
        watch_peer(&stream)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.to(peer) {
            return Ok(session.carry(tls.connect(endpoint.host(), Socket(stream)).await?));
        }
        Ok(session.carry(Socket(stream)))
    }
}

/// A tokio socket.
struct Socket<S>(S);

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for Socket<S> {
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
        peer: Peer,
        address: &'a Address,
        session: Session,
    ) -> BoxFuture<'a, io::Result<Carrier>> {
        Box::pin(async move {
            let carried = AssertUnwindSafe(self.carry(peer, address, session)).catch_unwind().await;
            // tokio has no other way to tell.
            carried.unwrap_or_else(|_| {
                let message = "this tokio runtime has no sockets: call `enable_io` on its builder";
                Err(io::Error::new(io::ErrorKind::Unsupported, message))
            })
        })
    }
}
