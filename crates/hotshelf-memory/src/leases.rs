//! Leases: the exclusive right to fill a key.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::RandomState;
use hotshelf_core::backend::Token;
use hotshelf_core::sync::{Mutex, MutexGuard};
use hotshelf_core::{Moment, WireKey};

/// The number of shards.
pub(crate) const SHARDS: usize = 64;

/// The leases of all keys.
///
/// The lock of a key's shard makes the operations on that key atomic: every operation that
/// reads or changes its entry and its lease together holds the lock.
pub(crate) struct Leases {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

/// The leases of one shard.
#[derive(Default)]
pub(crate) struct Shard {
    leases: HashMap<WireKey, Lease, RandomState>,
    /// The size at which expired leases are swept next.
    sweep_at: usize,
}

#[derive(Clone, Copy)]
struct Lease {
    holder: Holder,
    expires: Moment,
}

/// What is kept in the place of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The lease, held by this token.
    Token(Token),
    /// The mark of an invalidation: nobody may fill the key.
    Hold,
    /// The mark of a failed load.
    Failure,
}

impl Default for Leases {
    fn default() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, hasher: RandomState::default() }
    }
}

impl Leases {
    /// Locks the shard of a key.
    pub(crate) fn lock(&self, key: &WireKey) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(key) as usize;
        self.shards[hash % SHARDS].lock()
    }

    /// Removes all leases of a shard whose key the closure selects.
    pub(crate) fn remove_where(&self, shard: usize, mut picks: impl FnMut(&WireKey) -> bool) {
        self.shards[shard].lock().leases.retain(|key, _| !picks(key));
    }
}

impl Shard {
    /// Returns the holder of a key's lease, and its remaining time; `None` if there is none.
    pub(crate) fn holder(&self, key: &WireKey, now: Moment) -> Option<(Holder, Duration)> {
        let lease = self.leases.get(key)?;
        let left = lease.expires.since(now);
        (!left.is_zero()).then_some((lease.holder, left))
    }

    /// Returns `true` if this token holds the lease.
    pub(crate) fn is_held_by(&self, key: &WireKey, token: Token, now: Moment) -> bool {
        let is_held = |lease: &Lease| lease.holder == Holder::Token(token) && lease.expires > now;
        self.leases.get(key).is_some_and(is_held)
    }

    pub(crate) fn set(&mut self, key: &WireKey, holder: Holder, now: Moment, time: Duration) {
        self.sweep(now);
        self.leases.insert(key.clone(), Lease { holder, expires: now + time });
    }

    pub(crate) fn remove(&mut self, key: &WireKey) -> bool {
        self.leases.remove(key).is_some()
    }

    /// Drops expired leases whenever the shard has doubled: a holder that has crashed never
    /// releases its lease.
    fn sweep(&mut self, now: Moment) {
        if self.leases.len() >= self.sweep_at {
            self.leases.retain(|_, lease| lease.expires > now);
            self.sweep_at = (2 * self.leases.len()).max(64);
        }
    }
}
