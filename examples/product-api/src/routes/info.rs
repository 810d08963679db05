//! The report of `/cache/info`: the groups of the original, then the counters of each cache.

use hotshelf::{CacheInfo, NearInfo, ServerInfo, StoreInfo};
use serde::Serialize;
use utoipa::ToSchema;

use crate::human_size::human_size;

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
const UNKNOWN: &str = "unknown";

#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct CacheReport {
    server: Server,
    memory: Memory,
    stats: Stats,
    /// `memory` or `redis`.
    backend: String,
    /// What is kept in the memory of this process, in front of a server.
    near: Option<Near>,
    caches: Vec<CacheFigures>,
}

/// The server; unknown without one, or if it does not answer.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Server {
    version: String,
    uptime_days: Option<u64>,
    connected_clients: Option<u64>,
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Memory {
    used_memory_human: String,
    maxmemory_human: String,
}

#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
struct Stats {
    total_commands: Option<u64>,
    keyspace_hits: Option<u64>,
    keyspace_misses: Option<u64>,
    hit_rate_percent: Option<f64>,
}

/// The near tier.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Near {
    entries: usize,
    used_memory_human: String,
    maxmemory_human: String,
    /// The bound of staleness.
    max_staleness_seconds: f64,
}

/// The counters of one cache of this process since the start.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct CacheFigures {
    name: String,
    prefix: String,
    version: Option<String>,
    /// The Rust type of the values: several caches may share a name.
    value_type: String,
    hits: u64,
    /// Those of the hits that the near tier answered.
    near_hits: u64,
    /// Answers with a stale value.
    stale: u64,
    misses: u64,
    loads: u64,
    /// Those of the loads that replace a value which is served meanwhile.
    refreshes: u64,
    /// Those of the loads that failed.
    load_errors: u64,
    /// Calls that stopped waiting for a load.
    timed_out: u64,
    /// Calls that didn't load, since a load had just failed.
    backed_off: u64,
    /// Calls that were answered by another call's load.
    coalesced: u64,
    /// Errors of any kind, such as failed operations of the backend.
    errors: u64,
}

impl From<StoreInfo> for CacheReport {
    fn from(info: StoreInfo) -> Self {
        let server = info.server.as_ref();
        Self {
            server: server.map_or_else(Server::unknown, Server::from),
            memory: server.map_or_else(Memory::unknown, Memory::from),
            stats: server.map(Stats::from).unwrap_or_default(),
            backend: info.backend.to_owned(),
            near: info.near.map(Near::from),
            caches: info.caches.into_iter().map(CacheFigures::from).collect(),
        }
    }
}

impl Server {
    fn unknown() -> Self {
        Self { version: UNKNOWN.to_owned(), uptime_days: None, connected_clients: None }
    }
}

impl From<&ServerInfo> for Server {
    fn from(server: &ServerInfo) -> Self {
        Self {
            version: server.version.clone(),
            uptime_days: Some(server.uptime.as_secs() / SECONDS_PER_DAY),
            connected_clients: Some(server.connected_clients),
        }
    }
}

impl Memory {
    fn unknown() -> Self {
        Self { used_memory_human: UNKNOWN.to_owned(), maxmemory_human: UNKNOWN.to_owned() }
    }
}

impl From<&ServerInfo> for Memory {
    fn from(server: &ServerInfo) -> Self {
        Self {
            used_memory_human: human_size(server.used_memory),
            maxmemory_human: human_size(server.max_memory),
        }
    }
}

impl From<&ServerInfo> for Stats {
    fn from(server: &ServerInfo) -> Self {
        Self {
            total_commands: Some(server.total_commands),
            keyspace_hits: Some(server.keyspace_hits),
            keyspace_misses: Some(server.keyspace_misses),
            hit_rate_percent: Some(percentage(server.keyspace_hits, server.keyspace_misses)),
        }
    }
}

impl From<NearInfo> for Near {
    fn from(near: NearInfo) -> Self {
        Self {
            entries: near.entries,
            used_memory_human: human_size(near.used_bytes),
            maxmemory_human: human_size(near.max_bytes),
            max_staleness_seconds: near.max_staleness.as_secs_f64(),
        }
    }
}

impl From<CacheInfo> for CacheFigures {
    fn from(cache: CacheInfo) -> Self {
        Self {
            name: cache.name,
            prefix: cache.prefix,
            version: cache.version,
            value_type: cache.value_type.to_string(),
            hits: cache.stats.hits,
            near_hits: cache.stats.near_hits,
            stale: cache.stats.stale,
            misses: cache.stats.misses,
            loads: cache.stats.loads,
            refreshes: cache.stats.refreshes,
            load_errors: cache.stats.load_errors,
            timed_out: cache.stats.timed_out,
            backed_off: cache.stats.backed_off,
            coalesced: cache.stats.coalesced,
            errors: cache.stats.errors,
        }
    }
}

/// Returns the percentage of hits with two decimals, or 0 without any reads.
fn percentage(hits: u64, misses: u64) -> f64 {
    match hits as f64 + misses as f64 {
        0.0 => 0.0,
        asked => (hits as f64 / asked * 1e4).round() / 1e2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hit_rate_has_two_decimals() {
        for (hits, misses, share) in
            [(0, 0, 0.0), (1200, 25, 97.96), (1, 2, 33.33), (2, 1, 66.67), (7, 0, 100.0)]
        {
            assert_eq!(percentage(hits, misses), share, "{hits} {misses}");
        }
    }
}
