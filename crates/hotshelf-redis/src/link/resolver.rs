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

    /// Returns `true` if only the server itself can tell that it was demoted.
    fn may_be_demoted(&self) -> bool;

    /// Returns `true` if the server is a node of a Cluster.
    fn is_node(&self) -> bool {
        false
    }
}

/// A server with a fixed address.
#[derive(Debug)]
pub(crate) struct Fixed {
    address: Address,
    is_standalone: bool,
}

impl Fixed {
    /// A server whose name or proxy may lead to another one after a failover.
    pub(crate) fn standalone(address: Address) -> Self {
        Self { address, is_standalone: true }
    }

    /// A node of a Cluster, which redirects the callers when it was demoted.
    pub(crate) fn node(address: Address) -> Self {
        Self { address, is_standalone: false }
    }
}

impl Resolver for Fixed {
    fn resolve(&self) -> BoxFuture<'_, Result<Vec<Address>, Error>> {
        Box::pin(std::future::ready(Ok(vec![self.address.clone()])))
    }

    fn replaced<'a>(&'a self, _: &'a Address) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }

    fn is_elected(&self) -> bool {
        false
    }

    fn may_be_demoted(&self) -> bool {
        self.is_standalone
    }

    fn is_node(&self) -> bool {
        !self.is_standalone
    }
}
