//! Entries with an expiry, bounded by bytes.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::RandomState;
use hotshelf_core::backend::{LocalEntry, LocalFound};
use hotshelf_core::observe::MemoryUse;
use hotshelf_core::shards::{TYPICAL_BYTES, shards};
use hotshelf_core::{Moment, Remaining, Runtime, Ttl, WireKey};
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

/// The overhead of an entry beyond its key, its value and the decoded value: the cache's table,
/// heap bookkeeping, reference counts. Counted per entry, so that many small ones can't exceed
/// the bound. Measured with a million entries.
const OVERHEAD: usize = 330;

/// A bounded map from keys to expiring entries.
pub(crate) struct Entries {
    cache: Cache<WireKey, Entry, ByBytes, RandomState, SetAside>,
    runtime: Arc<dyn Runtime>,
    /// The number of entries that were removed for others.
    evictions: AtomicU64,
}

#[derive(Clone)]
struct Entry {
    local: Arc<LocalEntry>,
    /// The weight of key, value and decoded value.
    weight: u64,
    expires: Moment,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<WireKey, Entry> for ByBytes {
    fn weight(&self, _: &WireKey, entry: &Entry) -> u64 {
        entry.weight
    }
}

/// Keeps entries that are evicted or replaced until the locks are released: the values in them run code of their own
/// when they are dropped.
#[derive(Clone)]
struct SetAside;

impl Lifecycle<WireKey, Entry> for SetAside {
    type RequestState = Vec<(WireKey, Entry)>;

    fn on_evict(&self, evicted: &mut Vec<(WireKey, Entry)>, key: WireKey, entry: Entry) {
        evicted.push((key, entry));
    }
}

fn weight(key: &WireKey, value: &[u8], decoded_size: usize) -> u64 {
    let sizes = [key.as_bytes().len(), value.len(), decoded_size, OVERHEAD];
    sizes.into_iter().fold(0_u64, |sum, size| sum.saturating_add(size as u64))
}

/// The share of a shard for entries that were read again, and the largest share that a single
/// entry may take.
const HOT: f64 = 0.97;
const LARGEST: f64 = 0.9;

impl Entries {
    /// Creates a map for `capacity` bytes.
    pub(crate) fn new(capacity: u64, runtime: Arc<dyn Runtime>) -> Self {
        let items = usize::try_from(capacity / TYPICAL_BYTES).unwrap_or(usize::MAX).max(16);
        let options = OptionsBuilder::new()
            .weight_capacity(capacity)
            .estimated_items_capacity(items)
            .shards(shards(capacity))
            .hot_allocation(HOT)
            .build();
        let options = options.expect("capacity, items and shards are set, and HOT is below 1");
        let cache = Cache::with_options(options, ByBytes, RandomState::default(), SetAside);
        Self { cache, runtime, evictions: AtomicU64::new(0) }
    }

    /// Returns `true` if an entry is small enough to be stored at all.
    pub(crate) fn has_room_for(&self, key: &WireKey, value: &[u8], decoded_size: usize) -> bool {
        weight(key, value, decoded_size) as f64 <= self.cache.shard_capacity() as f64 * LARGEST
    }

    /// Reads an entry; an expired one is removed.
    pub(crate) fn get(&self, key: &WireKey) -> Option<LocalFound> {
        let entry = self.cache.get(key)?;
        let now = self.runtime.now();
        if entry.expires > now {
            return Some(LocalFound { entry: entry.local, now, source: None });
        }
        // Another thread may have stored a new entry since: only an expired one is removed.
        self.cache.remove_if(key, |entry| entry.expires <= now);
        None
    }

    pub(crate) fn insert(&self, key: WireKey, value: Bytes, decoded_size: usize, ttl: Ttl) {
        let expires = self.runtime.now() + ttl.as_duration();
        let weight = weight(&key, &value, decoded_size);
        self.put(key, Entry { local: Arc::new(LocalEntry::new(value)), weight, expires });
    }

    /// Inserts an entry, and counts those that are evicted for it.
    fn put(&self, key: WireKey, entry: Entry) {
        let mut removed = Vec::new();
        self.cache.insert_with_lifecycle(key.clone(), entry, &mut removed);
        let evicted = removed.iter().filter(|(evicted, _)| *evicted != key).count();
        if evicted > 0 {
            self.evictions.fetch_add(evicted as u64, Ordering::Relaxed);
        }
    }

    /// Replaces an entry by another one that ends at the same time, unless another one has been
    /// stored since it was read.
    pub(crate) fn replace(&self, key: &WireKey, old: &Arc<LocalEntry>, value: Bytes) -> bool {
        let Some(found) = self.cache.peek(key).filter(|entry| Arc::ptr_eq(&entry.local, old))
        else {
            return false;
        };
        let weight = found.weight + value.len() as u64 - old.raw().len() as u64;
        let entry = Entry { local: Arc::new(LocalEntry::new(value)), weight, ..found };
        self.put(key.clone(), entry);
        true
    }

    /// Removes an entry; returns `true` if it existed and had not expired.
    pub(crate) fn remove(&self, key: &WireKey) -> bool {
        let now = self.runtime.now();
        self.cache.remove(key).is_some_and(|(_, entry)| entry.expires > now)
    }

    /// Returns the entry of a key, and inserts one that never expires if it is missing.
    pub(crate) fn get_or_insert(&self, key: &WireKey, value: impl FnOnce() -> Bytes) -> Bytes {
        let entry = || {
            let expires = Moment::after_start(Duration::MAX);
            let value = value();
            let weight = weight(key, &value, 0);
            Ok::<_, Infallible>(Entry { local: Arc::new(LocalEntry::new(value)), weight, expires })
        };
        let entry = self.cache.get_or_insert_with(key, entry);
        entry.unwrap_or_else(|never| match never {}).local.raw().clone()
    }

    /// Removes all entries. Their values are dropped while no lock is held.
    pub(crate) fn clear(&self) {
        for key in self.keys().collect::<Vec<_>>() {
            self.cache.remove(&key);
        }
    }

    /// Returns the keys. Locks are held for one key at a time.
    pub(crate) fn keys(&self) -> impl Iterator<Item = WireKey> {
        self.cache.iter().map(|(key, _)| key)
    }

    pub(crate) fn remaining(&self, key: &WireKey) -> Remaining {
        let left = self.cache.peek(key).map(|entry| entry.expires.since(self.runtime.now()));
        match left {
            None | Some(Duration::ZERO) => Remaining::Missing,
            Some(left) => Remaining::After(left),
        }
    }

    /// Returns how much memory the entries take.
    pub(crate) fn memory_use(&self) -> MemoryUse {
        MemoryUse {
            entries: self.cache.len() as u64,
            used_bytes: self.cache.weight(),
            max_bytes: self.cache.capacity(),
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }

    /// Returns the bytes in use, and the capacity.
    pub(crate) fn weight_and_capacity(&self) -> (u64, u64) {
        (self.cache.weight(), self.cache.capacity())
    }
}
