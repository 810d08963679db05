//! Choosing the server of a command.

mod cluster;
mod per_runtime;
mod sentinel;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hotshelf_core::{Error, Runtime};
use hotshelf_wire::resp::Value;

use crate::connection::{Listener, Request, Routing};
use crate::link::{Dialer, Fixed, Link, Resolver};
use crate::options::{Deployment, RedisOptions};
use crate::transport::Transport;
use cluster::Cluster;
pub(crate) use per_runtime::Topologies;
use sentinel::SentinelResolver;

/// The servers, and the links to them.
#[derive(Debug)]
pub(crate) enum Topology {
    /// One server: standalone, or the primary that the Sentinels report.
    Single(Arc<Link>),
    /// Many servers, each with its slots.
    Cluster(Arc<Cluster>),
}

impl Topology {
    /// Creates the links; they connect on first use.
    pub(crate) fn new(
        options: &RedisOptions,
        transport: Arc<dyn Transport>,
        runtime: Arc<dyn Runtime>,
        listener: Arc<dyn Listener>,
    ) -> Self {
        let dialer = Dialer::new(options, transport, runtime);
        let resolver: Arc<dyn Resolver> = match &options.deployment {
            Deployment::Cluster(seeds) => {
                return Self::Cluster(Arc::new(Cluster::new(dialer, seeds.clone(), listener)));
            }
            Deployment::Standalone(address) => Arc::new(Fixed::standalone(address.clone())),
            Deployment::Sentinel { service, sentinels } => {
                let dialer = dialer.for_sentinels(options);
                Arc::new(SentinelResolver::new(dialer, service.clone(), sentinels.clone()))
            }
        };
        Self::Single(Arc::new(Link::new(dialer, resolver, listener)))
    }

    /// Sends one command to its server and returns the reply.
    pub(crate) async fn send(&self, request: &Request, timeout: Duration) -> Result<Value, Error> {
        match self {
            Self::Single(link) => link.send(request, Routing::Owner, timeout).await,
            Self::Cluster(cluster) => cluster.send(request, timeout).await,
        }
    }

    /// Sends commands together, each to its server, and returns their replies in order.
    pub(crate) async fn send_all(
        &self,
        requests: &[Request],
        timeout: Duration,
    ) -> Vec<Result<Value, Error>> {
        match self {
            Self::Single(link) => {
                let replies = link.send_all(requests.iter(), Routing::Owner, timeout).await;
                replies.unwrap_or_else(|error| vec![Err(error); requests.len()])
            }
            Self::Cluster(cluster) => cluster.send_all(requests, timeout).await,
        }
    }

    /// Sends commands to the server of the first key among them, without commands of other
    /// callers in between.
    pub(crate) async fn send_together(
        &self,
        requests: &[Request],
        timeout: Duration,
    ) -> Result<Vec<Value>, Error> {
        let replies = match self {
            Self::Single(link) => link.send_all(requests.iter(), Routing::Owner, timeout).await?,
            Self::Cluster(cluster) => cluster.send_together(requests, timeout).await?,
        };
        replies.into_iter().collect()
    }

    /// Returns the links to all primaries.
    pub(crate) async fn primaries(&self, timeout: Duration) -> Result<Vec<Arc<Link>>, Error> {
        match self {
            Self::Single(link) => Ok(vec![Arc::clone(link)]),
            Self::Cluster(cluster) => cluster.primaries(timeout).await,
        }
    }

    /// Sends a command to each primary and returns the replies.
    pub(crate) async fn send_to_each(
        &self,
        request: &Request,
        timeout: Duration,
    ) -> Result<Vec<Value>, Error> {
        let primaries = self.primaries(timeout).await?;
        let replies = primaries.iter().map(|link| link.send(request, Routing::Owner, timeout));
        join_all(replies).await.into_iter().collect()
    }

    /// Returns a dialer and a resolver for a listening connection.
    pub(crate) async fn listening(&self) -> Result<(Dialer, Arc<dyn Resolver>), Error> {
        match self {
            Self::Single(link) => Ok(link.listening()),
            Self::Cluster(cluster) => cluster.listening().await,
        }
    }

    /// Returns a dialer and a resolver for a connection of its own to the server of a command.
    pub(crate) async fn listening_for(
        &self,
        request: &Request,
        timeout: Duration,
    ) -> Result<(Dialer, Arc<dyn Resolver>), Error> {
        match self {
            Self::Single(link) => Ok(link.listening()),
            Self::Cluster(cluster) => cluster.listening_for(request, timeout).await,
        }
    }

    /// Returns `true` if the server of a key reports its changes.
    pub(crate) fn is_tracking(&self, key: &[u8]) -> bool {
        match self {
            Self::Single(link) => link.is_tracking(),
            Self::Cluster(cluster) => cluster.owner(key).is_some_and(|link| link.is_tracking()),
        }
    }

    /// Returns an estimate of the clock of a key's server, in milliseconds.
    pub(crate) fn clock(&self, key: &[u8]) -> Option<u64> {
        match self {
            Self::Single(link) => link.clock(),
            Self::Cluster(cluster) => cluster.owner(key)?.clock(),
        }
    }

    /// Closes all connections at once: commands in flight fail.
    pub(crate) fn abort(&self) {
        match self {
            Self::Single(link) => link.abort(),
            Self::Cluster(cluster) => cluster.abort(),
        }
    }

    pub(crate) fn close(&self) {
        match self {
            Self::Single(link) => link.close(),
            Self::Cluster(cluster) => cluster.close(),
        }
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        self.close();
    }
}
