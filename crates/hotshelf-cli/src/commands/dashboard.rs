//! `hotshelf dashboard`.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use hotshelf_core::{ByteStore, Error, Namespace};
use hotshelf_redis::RedisOptions;

use super::invalidate::definition;
use crate::failure::Failure;
use crate::names::{Group, namespace};
use crate::output::counted;
use crate::sample::Sample;
use crate::session::Session;

/// The number of caches that are shown: each takes memory, and a line of the page.
const MOST: usize = 500;

#[derive(Debug, clap::Args)]
pub(crate) struct DashboardArguments {
    /// The address to listen on: everybody who can reach it is let in
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// Let visitors invalidate
    #[arg(long)]
    writes: bool,
    /// Show values
    #[arg(long)]
    values: bool,
    /// The number of keys to scan for caches; 0 for all
    #[arg(long, value_name = "KEYS", default_value_t = 100_000)]
    scan: u64,
}

/// The admin page of a server, as it was asked for. `Debug` never shows a password.
#[derive(Clone)]
#[non_exhaustive]
pub struct Dashboard {
    /// The URL of the server, with its password.
    pub url: String,
    /// The server.
    pub redis: RedisOptions,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// Whether visitors may invalidate.
    pub writes: bool,
    /// Whether visitors may see values.
    pub values: bool,
    /// The caches that were found.
    pub caches: Namespaces,
}

impl Dashboard {
    /// Returns `true` if a request with this header `Host` is answered. A page that listens on this
    /// machine alone is asked for by a name of this machine: another site could have a name of its
    /// own lead here.
    #[must_use]
    pub fn allows_host(&self, host: Option<&str>) -> bool {
        if !self.listen.ip().is_loopback() {
            return true;
        }
        let Some(host) = host else { return false };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// The namespaces of the caches of a server.
#[derive(Clone)]
pub struct Namespaces(Vec<Namespace>);

impl Namespaces {
    /// Builds the caches on a store, so that its admin page shows them.
    ///
    /// # Errors
    /// If the store has such a cache with other options.
    pub fn build_on(&self, store: &ByteStore) -> Result<(), Error> {
        self.0.iter().try_for_each(|namespace| store.cache(definition(namespace.clone())).map(drop))
    }
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Dashboard");
        debug.field("redis", &self.redis).field("listen", &self.listen);
        debug.field("writes", &self.writes).field("values", &self.values);
        debug.field("caches", &self.caches).finish_non_exhaustive()
    }
}

impl fmt::Debug for Namespaces {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Namespaces").field(&self.0.len()).finish()
    }
}

pub(crate) async fn run(
    arguments: &DashboardArguments,
    session: &Session,
) -> Result<Dashboard, Failure> {
    let sample = Sample::take(session, arguments.scan, 0).await?;
    let names: BTreeSet<&String> = sample
        .groups
        .keys()
        .filter_map(|group| match group {
            Group::Cache(name) => Some(name),
            Group::Leases | Group::Tags | Group::Others => None,
        })
        .collect();
    let caches: Vec<_> = names.into_iter().filter_map(|name| namespace(name)).take(MOST).collect();
    let DashboardArguments { listen, writes, values, .. } = *arguments;
    // What serves the page says where it is, once it listens.
    let count = counted(caches.len() as u64, "cache", "caches");
    if !session.common.json {
        session.terminal.write_error(&format!("{count}\n"));
        if !listen.ip().is_loopback() {
            session.terminal.write_error("everybody who can reach this address is let in\n");
        }
    }
    let (url, redis) = (session.url.clone(), session.redis_options.clone());
    Ok(Dashboard { url, redis, listen, writes, values, caches: Namespaces(caches) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_sites_are_refused() {
        let asked = |listen: &str, host: Option<&str>| {
            let redis = RedisOptions::from_url("redis://localhost").unwrap();
            let (listen, caches) = (listen.parse().unwrap(), Namespaces(Vec::new()));
            let url = String::new();
            Dashboard { url, redis, listen, writes: false, values: false, caches }.allows_host(host)
        };
        for host in ["127.0.0.1:9090", "localhost:9090", "localhost", "[::1]:9090", "[::1]"] {
            assert!(asked("127.0.0.1:9090", Some(host)), "{host}");
        }
        for host in ["evil.example:9090", "localhost.evil.example", "10.0.0.1", ""] {
            assert!(!asked("127.0.0.1:9090", Some(host)), "{host}");
            assert!(asked("0.0.0.0:9090", Some(host)), "{host}");
        }
        assert!(!asked("127.0.0.1:9090", None));
    }
}
