//! Finding the server of a link.

use std::fmt;

use hotshelf_core::{BoxFuture, Error};

use crate::options::Address;

/// Finds the server of a link.
pub(crate) trait Resolver: fmt::Debug + Send + Sync {
    /// Returns the addresses at which the server may be, the likeliest first.
    fn resolve(&self) -> BoxFuture<'_, Result<Vec<Address>, Error>>;

    /// Waits until the current server seems to have been replaced by another one.
    fn replaced<'a>(&'a self, current: &'a Address) -> BoxFuture<'a, ()>;

    /// Returns `true` if the server is elected, and therefore has to be the primary.
    fn is_elected(&self) -> bool;
}

/// A server with a fixed address.
#[derive(Debug)]
pub(crate) struct Fixed(pub(crate) Address);

impl Resolver for Fixed {
    fn resolve(&self) -> BoxFuture<'_, Result<Vec<Address>, Error>> {
        Box::pin(std::future::ready(Ok(vec![self.0.clone()])))
    }

    fn replaced<'a>(&'a self, _: &'a Address) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }

    fn is_elected(&self) -> bool {
        false
    }
}
