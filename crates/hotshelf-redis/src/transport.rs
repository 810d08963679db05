//! The interface between connections and the event loop that carries their bytes.

use std::fmt;
use std::io;

use hotshelf_core::BoxFuture;

use crate::connection::{CloseReason, Session};
use crate::options::Address;

/// Opens streams to servers and carries the bytes of sessions, on the sockets of tokio or of
/// another event loop.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Opens a stream to a server, verifies its identity if TLS is configured, and returns the
    /// future that carries the session's bytes.
    ///
    /// That future is polled at once, and ends with the stream or the session, whichever ends
    /// first. Dropping it closes the stream.
    ///
    /// # Errors
    /// If the server can't be reached, or its certificate is not valid.
    fn open<'a>(
        &'a self,
        peer: Peer,
        address: &'a Address,
        session: Session,
    ) -> BoxFuture<'a, io::Result<Carrier>>;
}

/// What is connected to. Each has TLS options of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A server with entries.
    Server,
    /// A Sentinel.
    Sentinel,
}

/// A future that carries a session's bytes, and resolves to the reason for its end.
pub type Carrier = BoxFuture<'static, CloseReason>;
