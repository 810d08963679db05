//! The addresses of servers.

use std::fmt;

use hotshelf_wire::Endpoint;

/// The address of one server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A host and a port.
    Tcp(Endpoint),
    /// The path of a Unix socket.
    Unix(String),
}

/// The kind of deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deployment {
    /// One server.
    Standalone(Address),
    /// A primary with replicas, found through Sentinels.
    Sentinel { service: String, sentinels: Vec<Endpoint> },
    /// A Cluster, found through some of its nodes.
    Cluster(Vec<Endpoint>),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(endpoint) => endpoint.fmt(formatter),
            Self::Unix(path) => formatter.write_str(path),
        }
    }
}
