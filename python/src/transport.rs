//! Event loops as the transport of connections.

use hotshelf_core::{BoxFuture, Error, ErrorKind};
use hotshelf_redis::{Address, Carrier, Session, Transport};

use crate::socket::Stream;

/// Sockets that the event loop watches on which they are opened.
#[derive(Debug)]
pub(crate) struct LoopTransport;

impl Transport for LoopTransport {
    fn open<'a>(
        &'a self,
        address: &'a Address,
        session: Session,
    ) -> BoxFuture<'a, Result<Carrier, Error>> {
        Box::pin(async move {
            match Stream::connect(address).await {
                Ok(stream) => Ok(session.carry(stream)),
                Err(error) => {
                    let message = "the server can't be reached";
                    Err(Error::new(ErrorKind::Unavailable, message).with_source(error))
                }
            }
        })
    }
}
