//! Writing to the source of truth and to the cache together.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use tracing::Instrument;

use super::call::CallOptions;
use super::{ByteCache, EntryKey, Mistake};
use crate::backend::{BATCH, Fill, Stored, Token};
use crate::codec::Opaque;
use crate::engine::{
    Granted, Insert, Keys, Wanted, begin, computing, finish_even_if_dropped, remove_in_any_case,
    renew, renewing, take_over,
};
use crate::error::Error;
use crate::gate::{DutyKind, Removal};
use crate::key::WireKey;
use crate::outage::{Budget, OperationKind};
use crate::stats::Counter;
use crate::tag::Tags;
use crate::ttl::Ttl;

/// Guards keys whose leases were taken over before their source of truth is written.
///
/// Values that are loaded meanwhile cannot be stored. Dropping the guard invalidates the keys,
/// since the write may have been committed.
#[must_use = "dropping a write guard invalidates its keys"]
pub struct WriteGuard {
    cache: ByteCache,
    /// The keys of the call, in its order.
    keys: Vec<Result<WireKey, Error>>,
    /// The time to live of written values, or why nothing is stored.
    ttl: Result<Ttl, Error>,
    /// The keys whose entries may be outdated, and the leases that were granted.
    leases: BTreeMap<WireKey, Option<Granted>>,
    /// How long the caller still waits for the backend.
    budget: Budget,
}

/// Encoded values of a write that are ready to be [sent](Self::send).
#[derive(Debug)]
#[must_use = "dropping written values invalidates their keys"]
pub struct WrittenValues {
    guard: WriteGuard,
    values: BTreeMap<WireKey, (Bytes, Ttl)>,
    failed: Result<(), Error>,
}

/// The state of the cache after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The entries contain the written values.
    Stored,
    /// Some keys have no entry: another caller wrote or invalidated them meanwhile, their
    /// leases were not granted, or there was no value for them.
    Invalidated,
}

impl ByteCache {
    /// Takes over the leases of keys, before they are written.
    ///
    /// A key whose lease is not granted is invalidated after the write. With invalid options,
    /// or while the caches are disabled, all keys are invalidated and nothing is stored. Costs
    /// one round trip for each [`BATCH`] of keys. The guard waits for the backend for at most
    /// the cache's `backend_budget` in total, or as many times that as there are batches.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn write_guard(
        &self,
        keys: Vec<Result<EntryKey, Error>>,
        call: CallOptions,
    ) -> WriteGuard {
        let options = self.write_options(&call);
        let mut leases = BTreeMap::new();
        let mut wanted = Vec::with_capacity(keys.len());
        for key in keys.iter().flatten() {
            if leases.insert(key.wire.clone(), None).is_none() {
                // With invalid tags or an invalid lifetime nothing is stored.
                wanted.extend(options.wanted(self, key.clone()));
            }
        }
        let Self { engine, context } = self;
        let mut budget = self.budget_for(leases.len());
        if !wanted.is_empty() {
            let taking = take_over(engine, context, &wanted, options.keep);
            let granted = budget.spend(&*engine.runtime, taking).await.unwrap_or_else(|| {
                vec![Err(engine.gate.timed_out(context, OperationKind::Take)); wanted.len()]
            });
            for (wanted, granted) in wanted.into_iter().zip(granted) {
                leases.insert(wanted.key, self.counted(granted).unwrap_or_default());
            }
        }
        let keys = keys.into_iter().map(|key| key.map(|key| key.wire)).collect();
        WriteGuard { cache: self.clone(), keys, ttl: options.ttl, leases, budget }
    }

    /// Returns how long a call with so many keys waits for the backend in total.
    pub(super) fn budget_for(&self, keys: usize) -> Budget {
        let batches = u32::try_from(keys.div_ceil(BATCH).max(1)).unwrap_or(u32::MAX);
        Budget::new(self.context.options.backend_budget.saturating_mul(batches))
    }

    /// Returns the options that the entries of a write share. If they are invalid, nothing is
    /// stored.
    pub(super) fn write_options(&self, call: &CallOptions) -> SharedOptions {
        let context = &self.context;
        let tags = self.checked(Mistake::Tags, call.tags_in(context, None));
        let ttl = tags.as_ref().map_err(Clone::clone);
        let ttl = ttl.and_then(|_| self.checked(Mistake::Lifetime, call.ttl_in(context)));
        SharedOptions { call: call.clone(), tags, ttl, keep: call.keep_in(context) }
    }
}

/// The options that all entries of a write share.
pub(super) struct SharedOptions {
    call: CallOptions,
    /// The tags of all entries.
    tags: Result<Arc<Tags>, Error>,
    /// Their time to live, or why nothing is stored.
    pub(super) ttl: Result<Ttl, Error>,
    /// An upper bound for their lifetimes.
    pub(super) keep: Ttl,
}

impl SharedOptions {
    /// Returns the request to take over a key, or an error if nothing may be stored under it.
    pub(super) fn wanted(&self, cache: &ByteCache, key: EntryKey) -> Result<Wanted, Error> {
        self.ttl.as_ref().map_err(Clone::clone)?;
        let tags = match key.tags {
            None => self.tags.clone()?,
            Some(_) => {
                let tags = self.call.tags_in(&cache.context, Some(&key));
                cache.checked(Mistake::Tags, tags)?
            }
        };
        Ok(Wanted { key: key.wire, tags })
    }
}

impl WriteGuard {
    /// Runs the write in the caller's task, and keeps the leases alive meanwhile.
    ///
    /// # Cancel safety
    /// Dropping it drops the write.
    pub async fn run<F: Future>(&self, write: F) -> F::Output {
        let ByteCache { engine, context } = &self.cache;
        let keys = Keys::Many(self.leases.keys().cloned().collect());
        let write = pin!(write);
        let writing = pin!(computing(engine, keys, write));
        renewing(engine, context, || self.held(), writing).await
    }

    /// Keeps the leases alive for as long as it is polled. Never completes. It is for writes
    /// that cannot be passed to [`WriteGuard::run`].
    pub fn keep_alive(&self) -> impl Future<Output = ()> + Send + 'static {
        renew(Arc::clone(&self.cache.engine), Arc::clone(&self.cache.context), self.held())
    }

    /// Encodes the written values, one for each key in their order. [`WrittenValues::send`]
    /// stores them. A key without a value is invalidated; if a key occurs twice, its last
    /// value is stored.
    pub fn written<'v>(
        self,
        values: impl IntoIterator<Item = Option<&'v Opaque>>,
    ) -> WrittenValues {
        let invalid = self.keys.iter().find_map(|key| key.as_ref().err().cloned());
        let failed = invalid.map_or(Ok(()), Err).and(self.ttl.clone().map(drop));
        let mut encoded = BTreeMap::new();
        if let Ok(ttl) = self.ttl
            && self.cache.is_enabled()
        {
            for (key, value) in self.keys.iter().zip(values) {
                let Ok(key) = key else { continue };
                match value.map(|value| self.cache.encode(value)) {
                    Some(Ok(raw)) => {
                        drop(encoded.insert(key.clone(), (raw, self.cache.jittered(ttl))));
                    }
                    Some(Err(_)) | None => drop(encoded.remove(key)),
                }
            }
        }
        WrittenValues { guard: self, values: encoded, failed }
    }

    /// Invalidates the keys: the write failed or may have failed.
    ///
    /// # Errors
    /// Returns an error if the backend fails; older entries may then still exist.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
    pub async fn invalidate(mut self) -> Result<(), Error> {
        let (cache, budget) = (self.cache.clone(), self.budget);
        let engine = Arc::clone(&cache.engine);
        let removing = async move { self.remove_rest().await.map(drop) };
        in_budget(&cache, budget, finish_even_if_dropped(&engine.runtime, removing)).await
    }

    fn held(&self) -> Vec<(WireKey, Token)> {
        let held =
            |(key, lease): (&WireKey, &Option<Granted>)| Some((key.clone(), lease.as_ref()?.token));
        self.leases.iter().filter_map(held).collect()
    }

    /// Takes the keys whose entries may be outdated.
    fn take_keys(&mut self) -> Vec<WireKey> {
        std::mem::take(&mut self.leases).into_keys().collect()
    }

    /// Invalidates the keys whose entries may be outdated. If that fails, it is repeated in the
    /// background.
    async fn remove_rest(&mut self) -> Result<Written, Error> {
        let in_doubt = self.take_keys();
        if in_doubt.is_empty() {
            return Ok(Written::Stored);
        }
        let ByteCache { engine, context } = &self.cache;
        let removed = remove_in_any_case(engine, context, in_doubt).await;
        self.cache.counted(removed).map(|_| Written::Invalidated)
    }

    /// Stores values, and removes the keys whose state is certain afterwards.
    async fn store(&mut self, values: BTreeMap<WireKey, (Bytes, Ttl)>) {
        let fill = |(key, (value, ttl))| {
            let lease = self.leases.get(&key)?.as_ref()?;
            Some(lease.fill(&self.cache.context, Insert { key, value, ttl }))
        };
        let fills: Vec<Fill> = values.into_iter().filter_map(fill).collect();
        let ByteCache { engine, context } = &self.cache;
        for batch in fills.chunks(BATCH) {
            if fills.len() > BATCH {
                engine.runtime.yield_now().await;
            }
            for (fill, stored) in batch.iter().zip(engine.gate.store_written(context, batch).await)
            {
                match stored {
                    Ok(Stored::Stored) => drop(self.leases.remove(&fill.key)),
                    Ok(Stored::Refused) => self.cache.count(Counter::Refused),
                    Err(_) => self.cache.count(Counter::Error),
                }
            }
        }
    }
}

impl WrittenValues {
    /// Stores the values. A key in doubt is invalidated: a write never undoes an invalidation
    /// or a write of others.
    ///
    /// Costs one round trip for each [`BATCH`] of values, and one more if any key has to be
    /// invalidated.
    ///
    /// # Errors
    /// Returns an error if the backend fails; older entries may then still exist. Returns the
    /// errors of invalid keys and options after the others have been processed.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
    pub async fn send(self) -> Result<Written, Error> {
        let Self { mut guard, values, failed } = self;
        let (cache, budget) = (guard.cache.clone(), guard.budget);
        let (engine, span) = (Arc::clone(&cache.engine), cache.put_span(values.len()));
        let storing = async move {
            guard.store(values).await;
            guard.remove_rest().await
        };
        let written = finish_even_if_dropped(&engine.runtime, storing);
        let written = in_budget(&cache, budget, written).instrument(span).await;
        written.and_then(|written| failed.map(|()| written))
    }
}

/// Waits for the end of a write within its budget. Without an answer, it continues in the
/// background.
async fn in_budget<T>(
    cache: &ByteCache,
    mut budget: Budget,
    writing: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let ByteCache { engine, context } = cache;
    budget
        .spend(&*engine.runtime, writing)
        .await
        .unwrap_or_else(|| cache.counted(Err(engine.gate.timed_out(context, OperationKind::Store))))
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        let keys = self.take_keys();
        if !keys.is_empty() {
            let ByteCache { engine, context } = &self.cache;
            begin(engine, Some(context), DutyKind::Remove(Removal::Keys(keys)));
        }
    }
}

impl fmt::Debug for WriteGuard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let granted = self.leases.values().flatten().count();
        let mut debug = formatter.debug_struct("WriteGuard");
        debug.field("keys", &self.leases.keys()).field("granted", &granted).finish()
    }
}
