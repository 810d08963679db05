//! The data of a server, and the operations of the protocol on it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{
    Acquire, Acquired, Fill, Pause, Retrail, Seen, TagVersion, Take, Taken, Token,
};
use hotshelf_core::tag;
use hotshelf_core::trailer::MAGIC;
use hotshelf_core::{Pattern, Remaining, Ttl, WireKey};

/// Entries, leases and tag versions, each with a time to live.
///
/// Every operation takes the time of the server's clock.
#[derive(Default)]
pub(super) struct Keyspace {
    entries: BTreeMap<WireKey, Expiring<Bytes>>,
    leases: BTreeMap<WireKey, Expiring<Holder>>,
    /// Each version, and since when it is the tag's.
    tags: BTreeMap<WireKey, Expiring<(TagVersion, u64)>>,
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

/// What is kept in the place of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// The lease, held by this token.
    Token(Token),
    /// The mark of an invalidation: nobody may fill the key.
    Hold,
    /// The mark of a failed load.
    Failure,
}

/// How a token lost its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Filled,
    Released,
    Failed,
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
    pub(super) replace_failure: bool,
}

impl From<Acquire<'_>> for OwnedAcquire {
    fn from(acquire: Acquire<'_>) -> Self {
        let Acquire { key, token, lease, seen, skip_foreign, replace_failure } = acquire;
        Self { key: key.clone(), token, lease, seen, skip_foreign, replace_failure }
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
            if !lives && let Holder::Token(token) = lease.value {
                ended.insert(token, End::Expired);
            }
            lives
        });
    }

    /// Returns how a token lost its lease, or `None` if it still holds it or never did.
    pub(super) fn end_of(&self, token: Token) -> Option<End> {
        self.ended.get(&token).copied()
    }

    pub(super) fn read(&self, key: &WireKey) -> Option<Bytes> {
        let version = || self.tags.get(key).map(|tag| tag::written(tag.value.0, tag.value.1));
        self.entries.get(key).map(|entry| entry.value.clone()).or_else(version)
    }

    pub(super) fn acquire(&mut self, acquire: &OwnedAcquire, now: Duration) -> Acquired {
        let counts = |raw: &Bytes| !acquire.skip_foreign || raw.ends_with(MAGIC);
        let unseen = |raw: &Bytes| counts(raw) && !acquire.seen.is(raw);
        let entry = self.entries.get(&acquire.key).map(|entry| &entry.value);
        let is_over = entry.is_some_and(|raw| acquire.seen.is(raw));
        if let Some(raw) = entry.filter(|raw| unseen(raw)) {
            return Acquired::Present(raw.clone());
        }
        if let Some(lease) = self.leases.get(&acquire.key) {
            let left = lease.expires - now;
            match lease.value {
                Holder::Token(_) => return Acquired::Busy(left),
                Holder::Hold => return Acquired::Held(left),
                Holder::Failure if !acquire.replace_failure => return Acquired::BackingOff(left),
                Holder::Failure => {}
            }
        }
        self.lease(&acquire.key, acquire.token, now + acquire.lease);
        match is_over {
            true => Acquired::GrantedOver(millis(now)),
            false => Acquired::Granted(millis(now)),
        }
    }

    pub(super) fn take(&mut self, take: &Take, now: Duration) -> Taken {
        if self.is_held(&take.key) {
            return Taken::Held;
        }
        self.end_lease(&take.key, End::TakenOver);
        self.lease(&take.key, take.token, now + take.lease);
        Taken::Granted(millis(now))
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
            if let Some(hold) = fill.hold {
                self.mark(&fill.key, Holder::Hold, now + hold);
            }
        }
        held
    }

    pub(super) fn release(&mut self, key: &WireKey, token: Token) {
        if self.is_held_by(key, token) {
            self.end_lease(key, End::Released);
        }
    }

    /// Leaves a mark in the place of a lease, if the token holds it.
    pub(super) fn fail(&mut self, key: &WireKey, token: Token, pause: Pause, now: Duration) {
        if self.is_held_by(key, token) {
            let pause = match self.remaining(key, now) {
                Remaining::After(left) => pause.with_entry.min(left),
                Remaining::Persistent => pause.with_entry,
                Remaining::Missing => pause.without_entry,
            };
            self.end_lease(key, End::Failed);
            if !pause.is_zero() {
                self.mark(key, Holder::Failure, now + pause);
            }
        }
    }

    /// Replaces the trailer of an entry that ends with the one that was seen, and returns whether
    /// it did.
    pub(super) fn retrail(&mut self, key: &WireKey, trailers: &Retrail) -> bool {
        let Retrail { seen, trailer } = trailers;
        let Some(entry) = self.entries.get_mut(key) else { return false };
        let fits = !seen.is_empty() && trailer.len() >= seen.len() && entry.value.ends_with(seen);
        if fits {
            let value = &entry.value[..entry.value.len() - seen.len()];
            entry.value = Bytes::from([value, trailer].concat());
            self.changed.push(key.clone());
        }
        fits
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
    ) -> (TagVersion, Duration) {
        let keep = keep.as_duration();
        let missing = || Expiring { value: (new, millis(now)), expires: Duration::ZERO };
        let captured = self.tags.entry(tag.clone()).or_insert_with(missing);
        if captured.expires < now + keep {
            captured.expires = now + 2 * keep;
            self.changed.push(tag.clone());
        }
        let (version, since) = captured.value;
        (version, Duration::from_millis(millis(now).saturating_sub(since)))
    }

    /// Returns `true` if any tag has this version: versions are unique.
    pub(super) fn has_tag_version(&self, version: TagVersion) -> bool {
        self.tags.values().any(|tag| tag.value.0 == version)
    }

    /// Removes an entry and its lease, and returns how many of the two existed.
    pub(super) fn invalidate(&mut self, key: &WireKey) -> u64 {
        let entry = self.remove_entry(key);
        u64::from(entry) + u64::from(self.end_lease(key, End::Invalidated))
    }

    /// Removes an entry and its lease, marks the key, and returns how many of the two existed.
    pub(super) fn hold(&mut self, key: &WireKey, until: Duration) -> u64 {
        let held = self.leases.get(key).filter(|_| self.is_held(key)).map(|lease| lease.expires);
        let removed = self.invalidate(key);
        self.mark(key, Holder::Hold, held.unwrap_or_default().max(until));
        removed
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
        self.leases.get(key).is_some_and(|lease| lease.value == Holder::Token(token))
    }

    fn is_held(&self, key: &WireKey) -> bool {
        self.leases.get(key).is_some_and(|lease| lease.value == Holder::Hold)
    }

    fn lease(&mut self, key: &WireKey, token: Token, expires: Duration) {
        self.mark(key, Holder::Token(token), expires);
    }

    fn mark(&mut self, key: &WireKey, holder: Holder, expires: Duration) {
        self.leases.insert(key.clone(), Expiring { value: holder, expires });
    }

    /// Removes a lease, and returns whether there was one.
    fn end_lease(&mut self, key: &WireKey, end: End) -> bool {
        let Some(lease) = self.leases.remove(key) else { return false };
        if let Holder::Token(token) = lease.value {
            self.ended.insert(token, end);
        }
        true
    }
}
