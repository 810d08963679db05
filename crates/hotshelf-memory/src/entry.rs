//! Entries with an expiry, bounded by bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::{Moment, Pattern, Remaining, Runtime, Ttl, WireKey};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// What an entry costs beside its key and value: the cache's own table, the heap's
/// bookkeeping, reference counts. Counted per entry, so that many small ones can't
/// outgrow the bound.
const OVERHEAD: usize = 150;

/// A bounded map from keys to entries that expire.
pub(crate) struct Entries {
    cache: Cache<WireKey, Entry, ByBytes, foldhash::fast::RandomState>,
    runtime: Arc<dyn Runtime>,
}

#[derive(Clone)]
struct Entry {
    value: Bytes,
    expires: Moment,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<WireKey, Entry> for ByBytes {
    fn weight(&self, key: &WireKey, entry: &Entry) -> u64 {
        (key.as_bytes().len() + entry.value.len() + OVERHEAD) as u64
    }
}

impl Entries {
    /// Makes room for `capacity` bytes. An entry larger than a shard of it is not kept.
    pub(crate) fn new(capacity: u64, runtime: Arc<dyn Runtime>) -> Self {
        let estimated_entries = usize::try_from(capacity / 1024).unwrap_or(usize::MAX).max(16);
        let hasher = foldhash::fast::RandomState::default();
        let lifecycle = quick_cache::sync::DefaultLifecycle::default();
        let cache = Cache::with(estimated_entries, capacity, ByBytes, hasher, lifecycle);
        Self { cache, runtime }
    }

    /// Reads an entry that hasn't expired; an expired one is dropped.
    pub(crate) fn get(&self, key: &WireKey) -> Option<Bytes> {
        let entry = self.cache.get(key)?;
        if entry.expires > self.runtime.now() {
            return Some(entry.value);
        }
        // Another thread may have stored anew since: only what has expired goes.
        let now = self.runtime.now();
        self.cache.remove_if(key, |entry| entry.expires <= now);
        None
    }

    pub(crate) fn insert(&self, key: WireKey, value: Bytes, ttl: Ttl) {
        let expires = self.runtime.now() + ttl.as_duration();
        self.cache.insert(key, Entry { value, expires });
    }

    /// Removes an entry and says whether there was one.
    pub(crate) fn remove(&self, key: &WireKey) -> bool {
        let now = self.runtime.now();
        self.cache.remove(key).is_some_and(|(_, entry)| entry.expires > now)
    }

    /// Lists the keys that match.
    pub(crate) fn matching(&self, pattern: &Pattern) -> Vec<WireKey> {
        self.cache.iter().map(|(key, _)| key).filter(|key| pattern.matches(key)).collect()
    }

    pub(crate) fn remaining(&self, key: &WireKey) -> Remaining {
        let left = self.cache.peek(key).map(|entry| entry.expires.since(self.runtime.now()));
        match left {
            None | Some(Duration::ZERO) => Remaining::Missing,
            Some(left) => Remaining::After(left),
        }
    }

    /// Gives the bytes in use, and how many there may be.
    pub(crate) fn weight_and_capacity(&self) -> (u64, u64) {
        (self.cache.weight(), self.cache.capacity())
    }
}
