//! The transport of connections on event loops.

use std::io;

use hotshelf_core::{BoxFuture, Error};
use hotshelf_redis::{Address, Carrier, Peer, RedisOptions, Session, Tls, Transport};

use crate::socket::Stream;

/// Opens sockets that are watched by the running event loop.
#[derive(Debug)]
pub(crate) struct LoopTransport {
    tls: Tls,
}

impl LoopTransport {
    /// Creates a transport, and reads the certificates of the options.
    ///
    /// # Errors
    /// `Configuration`: the certificates can't be read.
    pub(crate) fn new(options: &RedisOptions) -> Result<Self, Error> {
        Ok(Self { tls: Tls::new(options)? })
    }

    async fn carry(&self, peer: Peer, address: &Address, session: Session) -> io::Result<Carrier> {
        let stream = Stream::connect(address).await?;
        match (self.tls.to(peer), address) {
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
        peer: Peer,
        address: &'a Address,
        session: Session,
    ) -> BoxFuture<'a, io::Result<Carrier>> {
        Box::pin(self.carry(peer, address, session))
    }
}
