//! Event loops as the transport of connections.

use std::io;

use hotshelf_core::{BoxFuture, Error};
use hotshelf_redis::{Address, Carrier, RedisOptions, Session, Tls, Transport};

use crate::socket::Stream;

/// Sockets that the event loop watches on which they are opened.
#[derive(Debug)]
pub(crate) struct LoopTransport {
    tls: Option<Tls>,
}

impl LoopTransport {
    /// Prepares what streams need.
    ///
    /// # Errors
    /// Of kind `Configuration` for certificates that can't be read.
    pub(crate) fn new(options: &RedisOptions) -> Result<Self, Error> {
        Ok(Self { tls: Tls::of(options)? })
    }

    async fn carry(&self, address: &Address, session: Session) -> io::Result<Carrier> {
        let stream = Stream::connect(address).await?;
        match (&self.tls, address) {
            (Some(tls), Address::Tcp(endpoint)) => {
                Ok(session.carry(tls.connect(endpoint.host(), stream).await?))
            }
            _ => Ok(session.carry(stream)),
        }
    }
}

impl Transport for LoopTransport {
    fn open<'a>(
        &'a self,
        address: &'a Address,
        session: Session,
    ) -> BoxFuture<'a, io::Result<Carrier>> {
        Box::pin(self.carry(address, session))
    }
}
