//! The near tier: entries in the memory of this process, in front of a server.
//!
//! It holds what was read over connections on which the server reports changes, and answers
//! only while it can vouch for it: a hit reflects every invalidation that was executed before
//! the last answered ping of its connection was sent, and that ping is no older than
//! `max_staleness` (docs/protocol.md, "The near tier").
//!
//! - **Admission.** A reply is admitted unless a change of its key was reported since its read
//!   was sent. Each stripe of keys counts the reports (its *epoch*); the count is compared, and
//!   the entry inserted, under the stripe's lock.
//! - **Sources.** An entry belongs to the connection over which it was read. When that is lost,
//!   or the server reports that everything may have changed, all its entries end at once.
//! - **Tags.** The versions of tags are entries, too, under the same rules.

mod options;
mod presented;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::{FixedState, RandomState};
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};
use serde::Serialize;

use crate::backend::{LocalEntries, LocalEntry, LocalFound, Result};
use crate::gate::{Change, LocalState};
use crate::key::WireKey;
use crate::runtime::{Moment, Runtime};
use crate::shards::{TYPICAL_BYTES, shards};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, step};

pub use options::NearOptions;
pub use presented::ConsistencyToken;
use presented::Presented;
pub use source::{Source, Sourced};

/// The number of locks, each for a part of the keys.
const STRIPES: usize = 64;

/// The overhead of an entry beyond its key, its value and the decoded value.
const OVERHEAD: usize = 400;

/// The near tier of a store.
pub struct NearTier {
    table: Cache<WireKey, Held, ByBytes, RandomState, Removed>,
    epochs: Box<[Mutex<u64>]>,
    /// Selects the stripe of a key. Its seed comes from the runtime, so that a simulation repeats
    /// which keys share a stripe.
    hasher: FixedState,
    options: NearOptions,
    runtime: Arc<dyn Runtime>,
    /// The number of times that everything was forgotten.
    flushed: AtomicU64,
    presented: Mutex<Presented>,
    evictions: AtomicU64,
    /// The connections on which changes are reported.
    sources: Mutex<Vec<Weak<Source>>>,
}

/// An entry, and for how long it may be used.
#[derive(Clone)]
struct Held {
    entry: Arc<LocalEntry>,
    /// `None` if no changes are reported: then the time since it was read bounds its use.
    source: Option<Sourced>,
    /// The number of times that everything had been forgotten when its read was sent.
    flushed: u64,
    sent: Moment,
    expires: Moment,
    weight: u64,
}

impl Held {
    fn found((held, now): (Self, Moment)) -> LocalFound {
        LocalFound { entry: held.entry, now, source: held.source }
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<WireKey, Held> for ByBytes {
    fn weight(&self, _: &WireKey, held: &Held) -> u64 {
        held.weight
    }
}

/// Outdates entries that are evicted or replaced, since no report finds them later, and keeps
/// them until the locks are released.
#[derive(Clone)]
struct Removed;

impl Lifecycle<WireKey, Held> for Removed {
    type RequestState = Vec<(WireKey, Held)>;

    fn on_evict(&self, removed: &mut Vec<(WireKey, Held)>, key: WireKey, held: Held) {
        held.entry.outdate();
        removed.push((key, held));
    }
}

/// The state of a near tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NearInfo {
    /// The number of entries, those of tags included.
    pub entries: usize,
    /// The memory that they take, in bytes.
    pub used_bytes: u64,
    /// The most memory that they may take, in bytes.
    pub max_bytes: u64,
    /// The bound of staleness.
    pub max_staleness: Duration,
    /// The number of entries that were removed for others.
    pub evictions: u64,
    /// How long ago the last answered ping was sent, on the connection on which that is longest:
    /// beyond `max_staleness` its entries aren't used. `None` without connections.
    pub validity_age: Option<Duration>,
}

/// What was known about a key before its read was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    epoch: u64,
    flushed: u64,
    /// When the read was about to be sent.
    sent: Moment,
}

/// The reply to a read.
#[derive(Clone, Debug)]
pub struct TrackedRead {
    /// The entry.
    pub raw: Option<Bytes>,
    /// The connection over which it was read, if its server reports changes of the key.
    pub source: Option<Sourced>,
    /// Whether the server of the key reports no changes at all.
    pub is_unreported: bool,
}

impl TrackedRead {
    /// Returns the reply of a server that reports no changes.
    #[must_use]
    pub fn unreported(raw: Option<Bytes>) -> Self {
        Self { raw, source: None, is_unreported: true }
    }
}

/// After which time without an answer a connection counts as lost.
const FORGOTTEN: Duration = Duration::from_secs(60);

impl NearTier {
    pub(crate) fn new(options: NearOptions, runtime: Arc<dyn Runtime>) -> Self {
        let items =
            usize::try_from(options.max_bytes / TYPICAL_BYTES).unwrap_or(usize::MAX).max(16);
        let sized = OptionsBuilder::new()
            .weight_capacity(options.max_bytes)
            .estimated_items_capacity(items)
            .shards(shards(options.max_bytes))
            .build();
        let sized = sized.expect("capacity and items are set");
        let table = Cache::with_options(sized, ByBytes, RandomState::default(), Removed);
        let hasher = FixedState::with_seed(runtime.random());
        let epochs = (0..STRIPES).map(|_| Mutex::new(0)).collect();
        let (flushed, presented) = (AtomicU64::new(0), Mutex::default());
        let (evictions, sources) = (AtomicU64::new(0), Mutex::default());
        Self { table, epochs, hasher, options, runtime, flushed, presented, evictions, sources }
    }

    /// Returns the options.
    #[must_use]
    pub fn options(&self) -> &NearOptions {
        &self.options
    }

    /// Returns the time, by a clock that counts the time during which the machine was suspended.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.runtime.uptime()
    }

    /// Returns a source for a new connection on which the server reports changes.
    #[must_use]
    pub fn source(&self) -> Arc<Source> {
        let source = Arc::new(Source::default());
        let mut sources = self.sources.lock();
        sources.retain(|source| source.strong_count() > 0);
        sources.push(Arc::downgrade(&source));
        drop(sources);
        source
    }

    /// Forgets a key, of an entry or of a tag: the server has reported a change.
    pub fn changed(&self, key: &WireKey) {
        let mut epoch = self.epoch_of(key).lock();
        *epoch += 1;
        let removed = self.table.remove(key);
        step();
        // Under the lock: until a reader that found the entry can see it, no other report about
        // the key is done.
        removed.iter().for_each(|(_, held)| held.entry.outdate());
        drop(epoch);
    }

    /// Forgets everything: the server has reported that any key may have changed.
    pub fn flush(&self) {
        self.flushed.fetch_add(1, Ordering::SeqCst);
        // One after the other, since a decoded value runs code of its own when it is dropped.
        self.table.drain().for_each(drop);
    }

    /// Returns the state.
    #[must_use]
    pub fn info(&self) -> NearInfo {
        NearInfo {
            entries: self.table.len(),
            used_bytes: self.table.weight(),
            max_bytes: self.options.max_bytes,
            max_staleness: self.options.max_staleness,
            evictions: self.evictions.load(Ordering::Relaxed),
            validity_age: self.validity_age(),
        }
    }

    fn validity_age(&self) -> Option<Duration> {
        let (now, sources) = (self.now(), self.sources.lock());
        let ages = sources.iter().filter_map(Weak::upgrade).filter_map(|source| source.age(now));
        // Entries may keep the source of a connection that was lost long ago.
        ages.filter(|age| *age < FORGOTTEN).max()
    }

    fn epoch_of(&self, key: &WireKey) -> &Mutex<u64> {
        let hash = self.hasher.hash_one(key.as_bytes());
        &self.epochs[(hash >> 32) as usize % STRIPES]
    }

    /// Returns what is known about keys, before their read is sent.
    pub(crate) fn before(&self, keys: &[WireKey]) -> Vec<Before> {
        let sent = self.now();
        let before = |key| {
            let flushed = self.flushed.load(Ordering::SeqCst);
            Before { epoch: *self.epoch_of(key).lock(), flushed, sent }
        };
        keys.iter().map(before).collect()
    }

    /// Returns when a token was first presented to this process.
    pub(crate) fn presented(&self, token: ConsistencyToken) -> Moment {
        let mut presented = self.presented.lock();
        // Read under the lock: no later call is given an earlier time.
        presented.first(token, self.now())
    }

    /// Returns the entry of a key, if its connection vouches for it, and the time.
    fn valid(&self, key: &WireKey) -> Option<(Held, Moment)> {
        let held = self.table.get(key)?;
        let now = self.now();
        // In this order: a ping that was answered meanwhile came behind the reports.
        let is_valid = held.expires > now
            && (held.source.as_ref())
                .is_none_or(|source| source.vouches(now, self.options.max_staleness))
            && held.flushed == self.flushed.load(Ordering::SeqCst)
            && !held.entry.is_outdated();
        is_valid.then_some((held, now))
    }

    /// Admits what was read, unless it may have changed since the read was sent. `decoded_size`
    /// returns that of an entry.
    pub(crate) fn admit(
        &self,
        key: &WireKey,
        raw: &[u8],
        decoded_size: impl FnOnce(&LocalEntry) -> usize,
        source: Option<Sourced>,
        before: Before,
    ) {
        let now = self.now();
        // A copy: a large value is a part of the connection's buffer, which it would keep alive.
        let (entry, ends) = LocalEntry::copied(raw);
        let expires = match &source {
            Some(source) => self.expiry(ends, source, now),
            None => Some(before.sent + self.options.max_staleness.min(self.options.time_to_live)),
        };
        let Some(expires) = expires else { return };
        let sizes = [key.as_bytes().len(), entry.raw().len(), decoded_size(&entry), OVERHEAD];
        let weight = sizes.into_iter().fold(0_u64, |sum, size| sum.saturating_add(size as u64));
        let Before { flushed, sent, .. } = before;
        let held = Held { entry: Arc::new(entry), source, flushed, sent, expires, weight };
        let epoch = self.epoch_of(key).lock();
        let admitted = *epoch == before.epoch
            && held.flushed == self.flushed.load(Ordering::SeqCst)
            && held.source.as_ref().is_none_or(Sourced::is_current);
        // A decoded value runs code of its own when it is dropped: not under the locks.
        let mut removed = Vec::new();
        step();
        if admitted {
            self.table.insert_with_lifecycle(key.clone(), held, &mut removed);
        }
        drop(epoch);
        let evicted = removed.iter().filter(|(evicted, _)| evicted != key).count();
        if evicted > 0 {
            self.evictions.fetch_add(evicted as u64, Ordering::Relaxed);
        }
    }

    /// Returns when an entry ends here: after the tier's own lifetime, or when it ends at the
    /// server, by an estimate of the server's clock. Where that isn't known, it ends after the
    /// bound of staleness, since servers report expired keys late. `None` if it has ended.
    fn expiry(&self, ends: Option<u64>, source: &Sourced, now: Moment) -> Option<Moment> {
        let left = match (ends, source.server_millis(now)) {
            (Some(ends), Some(server_now)) => {
                Duration::from_millis(ends.saturating_sub(server_now))
            }
            _ => self.options.max_staleness,
        };
        let left = left.min(self.options.time_to_live);
        (!left.is_zero()).then(|| now + left)
    }
}

impl LocalEntries for NearTier {
    fn get(&self, key: &WireKey) -> Result<Option<LocalFound>> {
        Ok(self.valid(key).map(Held::found))
    }

    fn get_read_after(&self, key: &WireKey, moment: Moment) -> Result<Option<LocalFound>> {
        Ok(self.valid(key).filter(|(held, _)| held.sent > moment).map(Held::found))
    }

    fn millis(&self, found: &LocalFound) -> Option<u64> {
        found.source.as_ref().and_then(|source| source.server_millis(found.now))
    }

    fn is_complete(&self) -> bool {
        false
    }
}

impl LocalState for NearTier {
    fn forget(&self, change: &Change<'_>) {
        match change {
            Change::Keys(keys) | Change::Tags(keys) | Change::Written(keys) => {
                keys.iter().for_each(|key| self.changed(key));
            }
            Change::Matching(pattern) => {
                // Reads in flight are not admitted, of whichever key.
                self.epochs.iter().for_each(|epoch| *epoch.lock() += 1);
                let matching: Vec<WireKey> = self
                    .table
                    .iter()
                    .map(|(key, _)| key)
                    .filter(|key| pattern.matches(key))
                    .collect();
                matching.iter().for_each(|key| self.changed(key));
            }
        }
    }
}

impl fmt::Debug for NearTier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("NearTier");
        debug.field("info", &self.info());
        debug.finish_non_exhaustive()
    }
}
