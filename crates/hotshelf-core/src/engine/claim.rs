//! Claims: writing to the source of truth and to the cache as one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use super::cleanup::finish_even_if_dropped;
use super::renewal::{renew, renewing};
use super::take::{BATCH, take_over};
use super::{Engine, EngineShared, Insert, Writing, invalidate};
use crate::backend::{Fill, Stored, Token};
use crate::error::Error;
use crate::key::WireKey;
use crate::stats::Counter;
use crate::tag::TagStamp;
use crate::ttl::Ttl;

/// Keys whose leases were taken over before their source of truth is written.
///
/// What is loaded meanwhile can't be stored. Dropping a claim invalidates the keys: the
/// write may have been committed.
#[must_use = "dropping a claim invalidates its keys"]
pub struct Claim {
    shared: Arc<EngineShared>,
    writing: Writing,
    /// The keys whose entries are in doubt, and the tokens of those whose lease could be
    /// had.
    leases: BTreeMap<WireKey, Option<Token>>,
    /// What the tags' versions were.
    tags: Vec<TagStamp>,
    settled: bool,
}

/// What became of written values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The entries hold the values.
    Stored,
    /// There is no entry at some of the keys: somebody else wrote or invalidated them
    /// meanwhile, their leases couldn't be had, or there was no value for them.
    Invalidated,
}

impl Engine {
    /// Takes the leases of keys over, before the write that they are meant for begins.
    ///
    /// Costs one round trip for each 1,000 keys. That a lease couldn't be had is counted, and
    /// no error: its key is invalidated in the end.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn claim(&self, keys: BTreeSet<WireKey>, writing: Writing) -> Claim {
        let takeover = take_over(&self.shared, keys.iter().cloned().collect(), &writing).await;
        let token = |lease: Result<Option<Token>, Error>| {
            lease.unwrap_or_else(|_| {
                writing.stats.count(Counter::Error);
                None
            })
        };
        let leases = keys.into_iter().zip(takeover.leases.into_iter().map(token)).collect();
        let shared = Arc::clone(&self.shared);
        Claim { shared, writing, leases, tags: takeover.tags, settled: false }
    }
}

impl Claim {
    /// Runs the write in the caller's own task and keeps the leases alive meanwhile.
    ///
    /// # Cancel safety
    /// Dropping it drops the write.
    pub async fn run<F: Future>(&self, write: F) -> F::Output {
        renewing(&self.shared, &self.writing.stats, || self.held(), write).await
    }

    /// Keeps the leases alive for as long as it is polled, and never ends: for a write that
    /// can't be given to [`Claim::run`].
    pub fn keep_alive(&self) -> impl Future<Output = ()> + Send + 'static {
        renew(Arc::clone(&self.shared), Arc::clone(&self.writing.stats), self.held())
    }

    fn held(&self) -> Vec<(WireKey, Token)> {
        let held = |(key, token): (&WireKey, &Option<Token>)| Some((key.clone(), (*token)?));
        self.leases.iter().filter_map(held).collect()
    }

    /// Stores what was written, and how long it lives. A key without a value, or of which
    /// anything is in doubt, is invalidated.
    ///
    /// Costs one round trip for each 1,000 values, and one more if there is something to
    /// invalidate.
    ///
    /// # Errors
    /// The backend's own: then older entries may still stand.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn store(
        mut self,
        values: BTreeMap<WireKey, (Bytes, Ttl)>,
    ) -> Result<Settled, Error> {
        self.settled = true;
        let runtime = Arc::clone(&self.shared.runtime);
        finish_even_if_dropped(&runtime, self.store_now(values)).await
    }

    /// Invalidates the keys: the write failed.
    ///
    /// # Errors
    /// The backend's own: then older entries may still stand.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate(self) -> Result<Settled, Error> {
        self.store(BTreeMap::new()).await
    }

    async fn store_now(
        mut self,
        values: BTreeMap<WireKey, (Bytes, Ttl)>,
    ) -> Result<Settled, Error> {
        let fill = |(key, (value, ttl))| {
            let token = self.leases.get(&key).copied().flatten()?;
            Some(self.writing.fill(Insert { key, value, ttl }, token, &self.tags))
        };
        let fills: Vec<Fill> = values.into_iter().filter_map(fill).collect();
        for batch in fills.chunks(BATCH) {
            for (fill, stored) in batch.iter().zip(self.shared.backend.store(batch).await) {
                match stored {
                    Ok(Stored::Stored) => drop(self.leases.remove(&fill.key)),
                    Ok(Stored::Refused) => self.writing.stats.count(Counter::Refused),
                    Err(_) => self.writing.stats.count(Counter::Error),
                }
            }
        }
        if self.leases.is_empty() {
            return Ok(Settled::Stored);
        }
        invalidate(Arc::clone(&self.shared), self.keys()).await.map(|_| Settled::Invalidated)
    }

    fn keys(&self) -> Vec<WireKey> {
        self.leases.keys().cloned().collect()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let invalidation = invalidate(Arc::clone(&self.shared), self.keys());
        let stats = Arc::clone(&self.writing.stats);
        self.shared.runtime.spawn(Box::pin(async move {
            if invalidation.await.is_err() {
                stats.count(Counter::Error);
            }
        }));
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let granted = self.leases.values().flatten().count();
        let mut debug = formatter.debug_struct("Claim");
        debug.field("keys", &self.leases.keys()).field("granted", &granted).finish()
    }
}
