//! The data of a server, and the operations of the protocol on it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{Acquire, Acquired, Fill, Seen, TagVersion, Take, Token};
use hotshelf_core::trailer::MAGIC;
use hotshelf_core::{Pattern, Remaining, Ttl, WireKey};

/// Entries, leases and tag versions, each with a time to live.
///
/// Every operation takes the time of the server's clock.
#[derive(Default)]
pub(super) struct Keyspace {
    entries: BTreeMap<WireKey, Expiring<Bytes>>,
    leases: BTreeMap<WireKey, Expiring<Token>>,
    tags: BTreeMap<WireKey, Expiring<TagVersion>>,
    /// How tokens lost their leases. It grows without bound, which is fine for the short life
    /// of a simulated server.
    ended: HashMap<Token, End>,
    /// The keys of entries and tags that were changed, and have to be reported.
    changed: Vec<WireKey>,
}

struct Expiring<T> {
    value: T,
    expires: Duration,
}

/// How a token lost its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Filled,
    Released,
    Invalidated,
    TakenOver,
    Expired,
    Evicted,
}

/// What can be evicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Evictable {
    Entry(WireKey),
    Lease(WireKey),
    Tag(WireKey),
}

/// An owned [`Acquire`], since a request outlives its caller.
#[derive(Clone, Debug)]
pub(super) struct OwnedAcquire {
    pub(super) key: WireKey,
    pub(super) token: Token,
    pub(super) lease: Duration,
    pub(super) seen: Seen,
    pub(super) skip_foreign: bool,
}

impl From<Acquire<'_>> for OwnedAcquire {
    fn from(acquire: Acquire<'_>) -> Self {
        let Acquire { key, token, lease, seen, skip_foreign } = acquire;
        Self { key: key.clone(), token, lease, seen, skip_foreign }
    }
}

/// Returns the time of the server's clock, in milliseconds.
pub(super) fn millis(now: Duration) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl Keyspace {
    /// Removes expired data.
    pub(super) fn expire(&mut self, now: Duration) {
        let changed = &mut self.changed;
        let mut is_kept = |key: &WireKey, expires| {
            let lives = expires > now;
            if !lives {
                changed.push(key.clone());
            }
            lives
        };
        self.entries.retain(|key, entry| is_kept(key, entry.expires));
        self.tags.retain(|key, tag| is_kept(key, tag.expires));
        let ended = &mut self.ended;
        self.leases.retain(|_, lease| {
            let lives = lease.expires > now;
            if !lives {
                ended.insert(lease.value, End::Expired);
            }
            lives
        });
    }

    /// Returns how a token lost its lease, or `None` if it still holds it or never did.
    pub(super) fn end_of(&self, token: Token) -> Option<End> {
        self.ended.get(&token).copied()
    }

    pub(super) fn read(&self, key: &WireKey) -> Option<Bytes> {
        let version = || self.tags.get(key).map(|tag| Bytes::copy_from_slice(&tag.value));
        self.entries.get(key).map(|entry| entry.value.clone()).or_else(version)
    }

    pub(super) fn acquire(&mut self, acquire: &OwnedAcquire, now: Duration) -> Acquired {
        let counts = |raw: &Bytes| !acquire.skip_foreign || raw.ends_with(MAGIC);
        let unseen = |raw: &Bytes| counts(raw) && !acquire.seen.is(raw);
        let entry = self.entries.get(&acquire.key).map(|entry| &entry.value);
        if let Some(raw) = entry.filter(|raw| unseen(raw)) {
            return Acquired::Present(raw.clone());
        }
        if let Some(lease) = self.leases.get(&acquire.key) {
            return Acquired::Busy(lease.expires - now);
        }
        self.lease(&acquire.key, acquire.token, now + acquire.lease);
        Acquired::Granted(millis(now))
    }

    pub(super) fn take(&mut self, take: &Take, now: Duration) {
        self.end_lease(&take.key, End::TakenOver);
        self.lease(&take.key, take.token, now + take.lease);
    }

    /// Stores a fill if its token holds the lease, and returns whether it did.
    pub(super) fn store(&mut self, fill: &Fill, now: Duration) -> bool {
        let held = self.is_held_by(&fill.key, fill.token);
        if held {
            self.end_lease(&fill.key, End::Filled);
            let entry =
                Expiring { value: fill.value.clone(), expires: now + fill.ttl.as_duration() };
            self.entries.insert(fill.key.clone(), entry);
            self.changed.push(fill.key.clone());
        }
        held
    }

    pub(super) fn release(&mut self, key: &WireKey, token: Token) {
        if self.is_held_by(key, token) {
            self.end_lease(key, End::Released);
        }
    }

    pub(super) fn renew(&mut self, key: &WireKey, token: Token, expires: Duration) -> bool {
        let held = self.is_held_by(key, token);
        if held {
            self.lease(key, token, expires);
        }
        held
    }

    /// Returns a tag's version, or sets it to a new one; it is kept for at least `keep`.
    pub(super) fn capture(
        &mut self,
        tag: &WireKey,
        new: TagVersion,
        keep: Ttl,
        now: Duration,
    ) -> TagVersion {
        let keep = keep.as_duration();
        let missing = || Expiring { value: new, expires: Duration::ZERO };
        let captured = self.tags.entry(tag.clone()).or_insert_with(missing);
        if captured.expires < now + keep {
            captured.expires = now + 2 * keep;
            self.changed.push(tag.clone());
        }
        captured.value
    }

    /// Returns `true` if any tag has this version: versions are unique.
    pub(super) fn has_tag_version(&self, version: TagVersion) -> bool {
        self.tags.values().any(|tag| tag.value == version)
    }

    /// Removes an entry and its lease, and returns how many of the two existed.
    pub(super) fn invalidate(&mut self, key: &WireKey) -> u64 {
        let entry = self.remove_entry(key);
        u64::from(entry) + u64::from(self.end_lease(key, End::Invalidated))
    }

    pub(super) fn forget_tag(&mut self, tag: &WireKey) {
        if self.tags.remove(tag).is_some() {
            self.changed.push(tag.clone());
        }
    }

    fn remove_entry(&mut self, key: &WireKey) -> bool {
        let existed = self.entries.remove(key).is_some();
        if existed {
            self.changed.push(key.clone());
        }
        existed
    }

    /// Returns the keys of entries and tags that were changed since the last call.
    pub(super) fn take_changed(&mut self) -> Vec<WireKey> {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn matching_entries(&self, pattern: &Pattern) -> Vec<WireKey> {
        self.entries.keys().filter(|key| pattern.matches(key)).cloned().collect()
    }

    pub(super) fn invalidate_matching_leases(&mut self, pattern: &Pattern) {
        let keys: Vec<_> = self.leases.keys().filter(|key| pattern.matches(key)).cloned().collect();
        for key in keys {
            self.end_lease(&key, End::Invalidated);
        }
    }

    pub(super) fn remaining(&self, key: &WireKey, now: Duration) -> Remaining {
        let entry = self.entries.get(key);
        entry.map_or(Remaining::Missing, |entry| Remaining::After(entry.expires - now))
    }

    /// Lists everything that is stored, in a deterministic order.
    pub(super) fn evictable(&self) -> Vec<Evictable> {
        let entries = self.entries.keys().cloned().map(Evictable::Entry);
        let leases = self.leases.keys().cloned().map(Evictable::Lease);
        let tags = self.tags.keys().cloned().map(Evictable::Tag);
        entries.chain(leases).chain(tags).collect()
    }

    pub(super) fn evict(&mut self, evicted: &Evictable) {
        match evicted {
            Evictable::Entry(key) => drop(self.remove_entry(key)),
            Evictable::Lease(key) => drop(self.end_lease(key, End::Evicted)),
            Evictable::Tag(key) => self.forget_tag(key),
        }
    }

    pub(super) fn used_memory(&self) -> u64 {
        let sizes =
            self.entries.iter().map(|(key, entry)| key.as_bytes().len() + entry.value.len());
        sizes.sum::<usize>() as u64
    }

    fn is_held_by(&self, key: &WireKey, token: Token) -> bool {
        self.leases.get(key).is_some_and(|lease| lease.value == token)
    }

    fn lease(&mut self, key: &WireKey, token: Token, expires: Duration) {
        self.leases.insert(key.clone(), Expiring { value: token, expires });
    }

    /// Removes a lease, and returns whether there was one.
    fn end_lease(&mut self, key: &WireKey, end: End) -> bool {
        let Some(lease) = self.leases.remove(key) else { return false };
        self.ended.insert(lease.value, end);
        true
    }
}
