//! The interface between connections and the event loop that carries their bytes.

use std::fmt;
use std::io;

use hotshelf_core::BoxFuture;

use crate::connection::{CloseReason, Session};
use crate::options::Address;

/// Opens streams to servers and carries the bytes of sessions: with tokio's sockets, or those
/// of another event loop.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Opens a stream to a server, verifies its identity if TLS is configured, and returns the
    /// future that carries the session's bytes.
    ///
    /// That future is polled at once, and ends when the stream or the session does. Dropping it
    /// closes the stream.
    ///
    /// # Errors
    /// Those of the stream: the server can't be reached, or its certificate is not valid.
    fn open<'a>(
        &'a self,
        address: &'a Address,
        session: Session,
    ) -> BoxFuture<'a, io::Result<Carrier>>;
}

/// Carries a session's bytes; resolves to the reason for the end.
pub type Carrier = BoxFuture<'static, CloseReason>;
