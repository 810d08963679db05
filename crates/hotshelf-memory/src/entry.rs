//! Entries with an expiry, bounded by bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::RandomState;
use hotshelf_core::{Moment, Pattern, Remaining, Runtime, Ttl, WireKey};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

/// What an entry costs beside its key and value: the cache's own table, the heap's
/// bookkeeping, reference counts. Counted per entry, so that many small ones can't
/// outgrow the bound.
const OVERHEAD: usize = 150;

/// A bounded map from keys to entries that expire.
pub(crate) struct Entries {
    cache: Cache<WireKey, Entry, ByBytes, RandomState>,
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
        weight(key, &entry.value)
    }
}

fn weight(key: &WireKey, value: &[u8]) -> u64 {
    (key.as_bytes().len() + value.len() + OVERHEAD) as u64
}

/// The part of a shard that is for entries that were asked for again, and the largest part
/// of one that a single entry may take.
const HOT: f64 = 0.97;
const LARGEST: f64 = 0.9;

/// The room that a shard should have at least, so that large entries fit into one.
const SHARD: u64 = 16 << 20;

/// As many shards as let the machine's threads work side by side, if each has room enough.
fn shards(capacity: u64) -> usize {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let roomy = usize::try_from(capacity / SHARD).unwrap_or(usize::MAX);
    // The cache rounds up to a power of two.
    let shards = roomy.clamp(1, 4 * threads);
    if shards.is_power_of_two() { shards } else { shards.next_power_of_two() / 2 }
}

impl Entries {
    /// Makes room for `capacity` bytes.
    pub(crate) fn new(capacity: u64, runtime: Arc<dyn Runtime>) -> Self {
        let items = usize::try_from(capacity / 1024).unwrap_or(usize::MAX).max(16);
        let options = OptionsBuilder::new()
            .weight_capacity(capacity)
            .estimated_items_capacity(items)
            .shards(shards(capacity))
            .hot_allocation(HOT)
            .build();
        let options = options.expect("capacity, items and shards are set, and HOT is a share");
        let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
        Self { cache: Cache::with_options(options, ByBytes, hasher, lifecycle), runtime }
    }

    /// Says whether an entry is small enough to be kept at all.
    pub(crate) fn has_room_for(&self, key: &WireKey, value: &[u8]) -> bool {
        weight(key, value) as f64 <= self.cache.shard_capacity() as f64 * LARGEST
    }

    /// Reads an entry that hasn't expired; an expired one is dropped.
    pub(crate) fn get(&self, key: &WireKey) -> Option<Bytes> {
        let entry = self.cache.get(key)?;
        let now = self.runtime.now();
        if entry.expires > now {
            return Some(entry.value);
        }
        // Another thread may have stored anew since: only what has expired goes.
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
