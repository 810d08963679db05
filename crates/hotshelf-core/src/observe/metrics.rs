//! Metrics: a snapshot of all counters of a store.

use std::borrow::Cow;

use serde::Serialize;

use super::LoadTimesSnapshot;
use crate::cache::{CacheInfo, cache_id};
use crate::context::CacheContext;
use crate::stats::CacheStats;

/// The metrics of a store, at one moment.
///
/// [`Display`](std::fmt::Display) writes them in the text format of Prometheus.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StoreMetrics {
    /// The kind of backend: `memory`, `redis`.
    pub backend: &'static str,
    /// Whether operations of the backend succeed: `false` from a failure until five seconds
    /// without one.
    pub backend_up: bool,
    /// Whether the caches are on.
    pub enabled: bool,
    /// What has failed so far.
    pub failures: Vec<Failures>,
    /// The number of invalidations.
    pub invalidations: Invalidations,
    /// The memory of a backend in this process.
    pub memory: Option<MemoryUse>,
    /// The state of the near tier.
    pub near: Option<NearUse>,
    /// The caches.
    pub caches: Vec<CacheMetrics>,
}

/// The failures of one kind of operation with one kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Failures {
    /// What has failed.
    pub operation: &'static str,
    /// The kind of error.
    pub error: &'static str,
    /// How often.
    pub count: u64,
}

/// The number of invalidations, by their kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Invalidations {
    /// Of keys: the number of keys.
    pub keys: u64,
    /// Of tags and epochs: their number.
    pub tags: u64,
    /// By patterns.
    pub patterns: u64,
}

/// How much memory entries take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryUse {
    /// The number of entries, those of tags included.
    pub entries: u64,
    /// The bytes that they take.
    pub used_bytes: u64,
    /// The bytes that they may take.
    pub max_bytes: u64,
    /// The number of entries that were removed for others.
    pub evictions: u64,
}

/// The state of a near tier.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NearUse {
    /// How much memory its entries take.
    #[serde(flatten)]
    pub memory: MemoryUse,
    /// The bound of staleness, in seconds.
    pub max_staleness: f64,
    /// How long ago a connection was last known to report all changes, in seconds: that on which
    /// this is longest. `None` without connections.
    pub validity_age: Option<f64>,
}

/// The metrics of one cache.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CacheMetrics {
    /// The prefix.
    pub prefix: String,
    /// The version; `None` without one.
    pub version: Option<String>,
    /// The name.
    pub name: String,
    /// The type of the values.
    pub value_type: Cow<'static, str>,
    /// The counters.
    pub stats: CacheStats,
    /// How long loaders took.
    pub load_times: LoadTimesSnapshot,
    /// What all its keys begin with.
    pub key_prefix: String,
}

impl CacheMetrics {
    pub(crate) fn new(info: CacheInfo, context: &CacheContext) -> Self {
        let CacheInfo { prefix, version, name, value_type, stats, .. } = info;
        let load_times = context.stats.load_times().read();
        let key_prefix = context.key_prefix.clone();
        Self { prefix, version, name, value_type, stats, load_times, key_prefix }
    }

    /// Returns the [id](crate::cache::ByteCache::id) of the cache.
    #[must_use]
    pub fn id(&self) -> String {
        cache_id(&self.prefix, self.version.as_deref(), &self.name)
    }

    pub(crate) fn is_same_name(&self, other: &Self) -> bool {
        (&self.prefix, &self.version, &self.name) == (&other.prefix, &other.version, &other.name)
    }

    /// Adds a cache of other values under the same name.
    pub(crate) fn add(&mut self, other: &Self) {
        self.value_type = format!("{}, {}", self.value_type, other.value_type).into();
        self.stats.add(&other.stats);
        self.load_times.add(&other.load_times);
    }
}
