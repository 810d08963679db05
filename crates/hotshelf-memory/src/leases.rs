//! Leases: who may fill a key.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use hotshelf_core::backend::Token;
use hotshelf_core::{Moment, WireKey};

const SHARDS: usize = 64;

/// The leases of all keys.
///
/// The lock of a key's shard is what makes the operations on that key atomic: whoever
/// changes or judges entry and lease together holds it meanwhile.
pub(crate) struct Leases {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

/// The leases of one shard.
#[derive(Default)]
pub(crate) struct Shard {
    leases: HashMap<WireKey, Lease, RandomState>,
    /// The size at which leases that ran out are swept next.
    sweep_at: usize,
}

#[derive(Clone, Copy)]
struct Lease {
    token: Token,
    expires: Moment,
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
        lock(&self.shards[hash % SHARDS])
    }

    /// Removes all leases whose key the closure picks.
    pub(crate) fn remove_where(&self, mut picks: impl FnMut(&WireKey) -> bool) {
        for shard in &self.shards {
            lock(shard).leases.retain(|key, _| !picks(key));
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    /// Gives the time that a lease still lasts, or `None` if nobody holds one.
    pub(crate) fn held_for(&self, key: &WireKey, now: Moment) -> Option<Duration> {
        let left = self.leases.get(key)?.expires.since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Says whether this token holds the lease.
    pub(crate) fn is_held_by(&self, key: &WireKey, token: Token, now: Moment) -> bool {
        self.leases.get(key).is_some_and(|lease| lease.token == token && lease.expires > now)
    }

    pub(crate) fn grant(&mut self, key: &WireKey, token: Token, now: Moment, lease: Duration) {
        self.sweep(now);
        self.leases.insert(key.clone(), Lease { token, expires: now + lease });
    }

    pub(crate) fn remove(&mut self, key: &WireKey) -> bool {
        self.leases.remove(key).is_some()
    }

    /// Drops what has run out, whenever the shard has doubled: a holder that crashed
    /// never comes back for its lease.
    fn sweep(&mut self, now: Moment) {
        if self.leases.len() >= self.sweep_at {
            self.leases.retain(|_, lease| lease.expires > now);
            self.sweep_at = (2 * self.leases.len()).max(64);
        }
    }
}
