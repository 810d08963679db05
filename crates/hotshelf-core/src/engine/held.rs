//! The leases that this process holds.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;

use super::Engine;
use crate::backend::Token;
use crate::context::CacheContext;
use crate::key::WireKey;
use crate::sync::Mutex;

/// The leases of a store, by key. The end of the store gives them back.
#[derive(Default)]
pub(crate) struct HeldLeases {
    leases: Mutex<HashMap<WireKey, Vec<Held>, RandomState>>,
    /// The number of requests for leases whose answers are not known yet.
    asking: AtomicUsize,
}

/// A lease, and what it is held for.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) token: Token,
    pub(crate) cache: Arc<CacheContext>,
    pub(crate) purpose: Purpose,
}

/// What a lease is held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A load that other callers share.
    Load,
    /// A load without other callers, such as that of a manual ticket, and the task that took
    /// it, if that is known.
    Ticket(Option<u64>),
    /// A write: the older entry may be outdated.
    Write,
}

/// Keeps a lease on the list until it is dropped.
pub(crate) struct Hold {
    engine: Weak<Engine>,
    key: WireKey,
    token: Token,
}

impl HeldLeases {
    pub(crate) fn add(
        engine: &Arc<Engine>,
        cache: &Arc<CacheContext>,
        key: &WireKey,
        token: Token,
        purpose: Purpose,
    ) -> Arc<Hold> {
        let held = Held { token, cache: Arc::clone(cache), purpose };
        let mut leases = engine.held.leases.lock();
        // Nearly always the only one.
        leases.entry(key.clone()).or_insert_with(|| Vec::with_capacity(1)).push(held);
        drop(leases);
        Arc::new(Hold { engine: Arc::downgrade(engine), key: key.clone(), token })
    }

    /// Returns `true` if the task holds a manual ticket for the key. Its own load would wait for
    /// itself.
    pub(crate) fn has_ticket(&self, key: &WireKey, task: Option<u64>) -> bool {
        let own = |held: &Held| task.is_some() && held.purpose == Purpose::Ticket(task);
        self.leases.lock().get(key).is_some_and(|held| held.iter().any(own))
    }

    /// Notes that leases are requested, until [`answered`](Self::answered).
    pub(crate) fn asked(&self) {
        self.asking.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn answered(&self) {
        self.asking.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn asking(&self) -> usize {
        self.asking.load(Ordering::SeqCst)
    }

    /// Takes all leases off the list.
    pub(crate) fn take_all(&self) -> Vec<(WireKey, Held)> {
        let all = std::mem::take(&mut *self.leases.lock());
        all.into_iter()
            .flat_map(|(key, held)| held.into_iter().map(move |it| (key.clone(), it)))
            .collect()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(engine) = self.engine.upgrade() else { return };
        let mut all = engine.held.leases.lock();
        if let Some(held) = all.get_mut(&self.key) {
            held.retain(|held| held.token != self.token);
            if held.is_empty() {
                all.remove(&self.key);
            }
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hold").field("key", &self.key).finish_non_exhaustive()
    }
}
