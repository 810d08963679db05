//! Opening a stream to a server.

use std::io;
use std::time::Duration;

use hotshelf_core::{Error, ErrorKind};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};

use super::driver::Stream;
use crate::options::{Address, RedisOptions};
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// After so long without a word the system asks whether the other side is still there, and
/// so often before it takes it for gone.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 3;

/// After so long the system gives up on bytes that the other side doesn't confirm.
#[cfg(target_os = "linux")]
const UNCONFIRMED: Duration = Duration::from_secs(10);

/// Where a server is, and how to talk to it.
pub(crate) struct Target {
    address: Address,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl Target {
    /// Prepares what connections need.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for certificates that can't be read.
    pub(crate) fn new(options: &RedisOptions) -> Result<Self, Error> {
        Ok(Self {
            address: options.address.clone(),
            #[cfg(feature = "tls")]
            tls: match options.address {
                Address::Tcp { tls: true, .. } => Some(Tls::new(options)?),
                _ => None,
            },
        })
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Unavailable`].
    pub(crate) async fn open(&self) -> Result<Box<dyn Stream>, Error> {
        let unreachable = |error| {
            Error::new(ErrorKind::Unavailable, "the server can't be reached").with_source(error)
        };
        self.try_open().await.map_err(unreachable)
    }

    async fn try_open(&self) -> io::Result<Box<dyn Stream>> {
        let (host, port) = match &self.address {
            Address::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            Address::Tcp { host, port, .. } => (host.as_str(), *port),
        };
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        watch(&stream)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Ok(Box::new(tls.connect(host, stream).await?));
        }
        Ok(Box::new(stream))
    }
}

/// Lets the system notice a peer that is gone without a word, while nothing is asked.
fn watch(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_PROBES))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNCONFIRMED))?;
    Ok(())
}
