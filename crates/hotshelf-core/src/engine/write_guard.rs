//! Write guards: writing to the source of truth and to the cache as one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use super::cleanup::finish_even_if_dropped;
use super::renewal::{renew, renewing};
use super::take::{Takeover, take_over};
use super::{Engine, EngineShared, Insert, WriteOptions};
use crate::backend::{BATCH, Fill, Stored, Token};
use crate::error::Error;
use crate::key::WireKey;
use crate::stats::Counter;
use crate::tag::TagStamp;
use crate::ttl::Ttl;

/// Keys whose leases were taken over before their source of truth is written.
///
/// What is loaded meanwhile can't be stored. Dropping a guard invalidates the keys: the
/// write may have been committed.
#[must_use = "dropping a write guard invalidates its keys"]
pub(crate) struct WriteGuard {
    shared: Arc<EngineShared>,
    options: WriteOptions,
    /// The keys whose entries are in doubt, and the tokens of the leases that were granted.
    leases: BTreeMap<WireKey, Option<Token>>,
    /// The versions that the tags had when the leases were granted.
    tags: Vec<TagStamp>,
    finished: bool,
}

/// What a write left in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The entries hold the values.
    Stored,
    /// Some of the keys have no entry: another caller wrote or invalidated them meanwhile,
    /// their leases were not granted, or there was no value for them.
    Invalidated,
}

impl Engine {
    /// Takes over the leases of keys, before the write that they are meant for begins.
    ///
    /// Costs one round trip for each [`BATCH`] of keys. A lease that was not granted is
    /// counted, and not an error: its key is invalidated in the end.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub(crate) async fn write_guard(
        &self,
        keys: BTreeSet<WireKey>,
        options: WriteOptions,
    ) -> WriteGuard {
        let takeover = match keys.is_empty() {
            true => Takeover::default(),
            false => take_over(&self.shared, keys.iter().cloned().collect(), &options).await,
        };
        let token = |lease: Result<Option<Token>, Error>| {
            lease.unwrap_or_else(|_| {
                options.cache.stats.count(Counter::Error);
                None
            })
        };
        let leases = keys.into_iter().zip(takeover.leases.into_iter().map(token)).collect();
        let shared = Arc::clone(&self.shared);
        WriteGuard { shared, options, leases, tags: takeover.tags, finished: false }
    }
}

impl WriteGuard {
    /// Runs the write in the caller's own task and keeps the leases alive meanwhile.
    ///
    /// # Cancel safety
    /// Dropping it drops the write.
    pub(crate) async fn run<F: Future>(&self, write: F) -> F::Output {
        renewing(&self.shared, &self.options.cache, || self.held(), write).await
    }

    /// Keeps the leases alive for as long as it is polled, and never ends: for a write that
    /// can't be passed to [`WriteGuard::run`].
    pub(crate) fn keep_alive(&self) -> impl Future<Output = ()> + Send + 'static {
        renew(Arc::clone(&self.shared), Arc::clone(&self.options.cache), self.held())
    }

    fn held(&self) -> Vec<(WireKey, Token)> {
        let held = |(key, token): (&WireKey, &Option<Token>)| Some((key.clone(), (*token)?));
        self.leases.iter().filter_map(held).collect()
    }

    /// Stores the written values, each with its lifetime. A key without a value, or in any
    /// doubt, is invalidated.
    ///
    /// Costs one round trip for each [`BATCH`] of values, and one more if there is something
    /// to invalidate.
    ///
    /// # Errors
    /// The backend's own: then older entries may still be there.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub(crate) async fn finish(
        mut self,
        values: BTreeMap<WireKey, (Bytes, Ttl)>,
    ) -> Result<Written, Error> {
        self.finished = true;
        let runtime = Arc::clone(&self.shared.runtime);
        finish_even_if_dropped(&runtime, self.finish_now(values)).await
    }

    async fn finish_now(
        mut self,
        values: BTreeMap<WireKey, (Bytes, Ttl)>,
    ) -> Result<Written, Error> {
        let stats = &self.options.cache.stats;
        let fill = |(key, (value, ttl))| {
            let token = self.leases.get(&key).copied().flatten()?;
            Some(self.options.fill(Insert { key, value, ttl }, token, &self.tags))
        };
        let fills: Vec<Fill> = values.into_iter().filter_map(fill).collect();
        for batch in fills.chunks(BATCH) {
            for (fill, stored) in
                batch.iter().zip(self.shared.gate.store(&self.options.cache, batch).await)
            {
                match stored {
                    Ok(Stored::Stored) => drop(self.leases.remove(&fill.key)),
                    Ok(Stored::Refused) => stats.count(Counter::Refused),
                    Err(_) => stats.count(Counter::Error),
                }
            }
        }
        if self.leases.is_empty() {
            return Ok(Written::Stored);
        }
        self.shared
            .gate
            .invalidate(&self.options.cache, &self.keys())
            .await
            .map(|_| Written::Invalidated)
    }

    fn keys(&self) -> Vec<WireKey> {
        self.leases.keys().cloned().collect()
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        if self.finished || self.leases.is_empty() {
            return;
        }
        let (shared, keys) = (Arc::clone(&self.shared), self.keys());
        let cache = Arc::clone(&self.options.cache);
        self.shared.runtime.spawn(Box::pin(async move {
            if shared.gate.invalidate(&cache, &keys).await.is_err() {
                cache.stats.count(Counter::Error);
            }
        }));
    }
}

impl fmt::Debug for WriteGuard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let granted = self.leases.values().flatten().count();
        let mut debug = formatter.debug_struct("WriteGuard");
        debug.field("keys", &self.leases.keys()).field("granted", &granted).finish()
    }
}
