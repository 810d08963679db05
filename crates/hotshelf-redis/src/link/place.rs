//! Where a link finds its server.

use std::fmt;

use hotshelf_core::{BoxFuture, Error};

use crate::options::Address;

/// Knows where the server of a link is.
pub(crate) trait Place: fmt::Debug + Send + Sync {
    /// Says where the server is now.
    fn find(&self) -> BoxFuture<'_, Result<Address, Error>>;

    /// Waits until another server than this one is to be talked to.
    fn replaced<'a>(&'a self, current: Option<&'a Address>) -> BoxFuture<'a, ()>;

    /// Says whether the server was elected: then it has to be the primary.
    fn is_elected(&self) -> bool;
}

/// A server that is where it is.
#[derive(Debug)]
pub(crate) struct Fixed(pub(crate) Address);

impl Place for Fixed {
    fn find(&self) -> BoxFuture<'_, Result<Address, Error>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }

    fn replaced<'a>(&'a self, _: Option<&'a Address>) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }

    fn is_elected(&self) -> bool {
        false
    }
}
