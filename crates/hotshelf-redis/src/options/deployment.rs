//! Where servers are.

use std::fmt;

use hotshelf_wire::Endpoint;

/// Where one server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A host and a port.
    Tcp(Endpoint),
    /// The path of a Unix socket.
    Unix(String),
}

/// What kind of installation the servers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deployment {
    /// One server.
    Standalone(Address),
    /// A primary with replicas, and Sentinels that say which it is.
    Sentinel { service: String, sentinels: Vec<Endpoint> },
    /// A Cluster, of which some nodes are known.
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
