//! The seam between connections and whatever carries their bytes.

use std::fmt;
use std::io;

use hotshelf_core::BoxFuture;

use crate::connection::{Ended, Session};
use crate::options::Address;

/// Opens streams to servers and carries the bytes of sessions: tokio's sockets, or those of
/// another event loop.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Opens a stream to a server, proves who it is if it has to, and gives the future that
    /// carries the session's bytes.
    ///
    /// That future is polled from the moment it is there, and ends when the stream or the
    /// session does. Dropping it closes the stream.
    ///
    /// # Errors
    /// Those of the stream: the server can't be reached, or isn't who it should be.
    fn open<'a>(
        &'a self,
        address: &'a Address,
        session: Session,
    ) -> BoxFuture<'a, io::Result<Carrier>>;
}

/// Carries a session's bytes, and gives the reason for its end.
pub type Carrier = BoxFuture<'static, Ended>;
