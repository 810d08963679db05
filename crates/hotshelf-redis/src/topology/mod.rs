//! Which server a command goes to.

mod cluster;
mod sentinel;

use std::sync::Arc;

use futures_util::future::join_all;
use hotshelf_core::{Error, Moment, Runtime};
use hotshelf_wire::resp::Value;

use crate::connection::{Listener, Manner, Request};
use crate::link::{Dialer, Fixed, Link, Place};
use crate::options::{Deployment, RedisOptions};
use crate::transport::Transport;
use cluster::Cluster;
use sentinel::BySentinels;

/// The servers, and the way to each of them.
#[derive(Debug)]
pub(crate) enum Topology {
    /// One server: a standalone one, or whichever the Sentinels say.
    Single(Arc<Link>),
    /// Many, each with its slots.
    Cluster(Arc<Cluster>),
}

impl Topology {
    /// Prepares connections; nothing is sent before somebody asks for it.
    pub(crate) fn new(
        options: &RedisOptions,
        transport: Arc<dyn Transport>,
        runtime: Arc<dyn Runtime>,
        listener: Arc<dyn Listener>,
    ) -> Self {
        let dialer = Dialer::new(options, transport, runtime);
        let place: Arc<dyn Place> = match &options.deployment {
            Deployment::Cluster(seeds) => {
                return Self::Cluster(Arc::new(Cluster::new(dialer, seeds.clone(), listener)));
            }
            Deployment::Standalone(address) => Arc::new(Fixed(address.clone())),
            Deployment::Sentinel { service, sentinels } => {
                let dialer = dialer.for_sentinels(options.sentinel_credentials.clone());
                Arc::new(BySentinels::new(dialer, service.clone(), sentinels.clone()))
            }
        };
        Self::Single(Arc::new(Link::new(dialer, place, listener)))
    }

    /// Says whether keys live on several servers.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Sends one command to where it belongs and gives its reply.
    pub(crate) async fn ask(&self, request: &Request, deadline: Moment) -> Result<Value, Error> {
        match self {
            Self::Single(link) => link.ask(request, Manner::Plain, deadline).await,
            Self::Cluster(cluster) => cluster.ask(request, deadline).await,
        }
    }

    /// Sends commands at once, each to where it belongs, and gives a reply for each, in
    /// their order.
    pub(crate) async fn ask_all(
        &self,
        requests: &[Request],
        deadline: Moment,
    ) -> Vec<Result<Value, Error>> {
        match self {
            Self::Single(link) => {
                let replies = link.ask_all(requests.iter(), Manner::Plain, deadline).await;
                replies.unwrap_or_else(|error| vec![Err(error); requests.len()])
            }
            Self::Cluster(cluster) => cluster.ask_all(requests, deadline).await,
        }
    }

    /// Sends commands as one to the server that the first key among them belongs to: no
    /// others come in between.
    pub(crate) async fn ask_together(
        &self,
        requests: &[Request],
        deadline: Moment,
    ) -> Result<Vec<Value>, Error> {
        let replies = match self {
            Self::Single(link) => link.ask_all(requests.iter(), Manner::Plain, deadline).await?,
            Self::Cluster(cluster) => cluster.ask_together(requests, deadline).await?,
        };
        replies.into_iter().collect()
    }

    /// Gives the links to all primaries.
    pub(crate) async fn primaries(&self, deadline: Moment) -> Result<Vec<Arc<Link>>, Error> {
        match self {
            Self::Single(link) => Ok(vec![Arc::clone(link)]),
            Self::Cluster(cluster) => cluster.primaries(deadline).await,
        }
    }

    /// Sends a command to each primary, and gives their replies.
    pub(crate) async fn ask_each(
        &self,
        request: &Request,
        deadline: Moment,
    ) -> Result<Vec<Value>, Error> {
        let primaries = self.primaries(deadline).await?;
        let asked = primaries.iter().map(|link| link.ask(request, Manner::Plain, deadline));
        join_all(asked).await.into_iter().collect()
    }

    /// Gives what it takes to open a connection that listens.
    pub(crate) async fn listening(&self) -> Result<(Dialer, Arc<dyn Place>), Error> {
        match self {
            Self::Single(link) => Ok(link.listening()),
            Self::Cluster(cluster) => cluster.listening().await,
        }
    }

    /// Says whether the server that a key belongs to tells of its changes.
    pub(crate) fn is_tracking(&self, key: &[u8]) -> bool {
        match self {
            Self::Single(link) => link.is_tracking(),
            Self::Cluster(cluster) => cluster.is_tracking(key),
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
