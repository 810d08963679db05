//! Inserts: writing without a loader.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use tracing::Instrument;

use super::call::CallOptions;
use super::{ByteCache, EntryKey};
use crate::backend::{BATCH, Fill, Stored};
use crate::codec::Opaque;
use crate::engine::{Granted, Insert, UnusedLeases, Wanted, finish_even_if_dropped, take_over};
use crate::error::Error;
use crate::key::WireKey;
use crate::outage::OperationKind;
use crate::stats::Counter;
use crate::ttl::Ttl;

/// Encoded values that are ready to be [sent](Self::send).
#[derive(Debug)]
#[must_use = "inserts are not sent before `send`"]
pub struct Inserts {
    cache: ByteCache,
    ttl: Ttl,
    keep: Ttl,
    slots: Vec<Slot>,
}

/// One value of an insert.
#[derive(Debug)]
enum Slot {
    /// The value can be stored.
    Store(Wanted, Bytes),
    /// The value cannot be stored, and makes the older entry outdated.
    Remove(WireKey, Result<bool, Error>),
    /// The key is invalid.
    Invalid(Error),
}

impl ByteCache {
    /// Encodes the values of an insert. If a key occurs twice, its last value is stored.
    pub fn insert<'v>(
        &self,
        values: impl IntoIterator<Item = (Result<EntryKey, Error>, &'v Opaque)>,
        call: &CallOptions,
    ) -> Inserts {
        let options = self.write_options(call);
        let enabled = self.is_enabled();
        let mut slots: Vec<Slot> = Vec::new();
        for (key, value) in values {
            let wanted = key.map(|key| (key.wire.clone(), options.wanted(self, key)));
            let slot = match wanted {
                Err(error) => Slot::Invalid(error),
                Ok((key, Err(error))) => Slot::Remove(key, Err(error)),
                Ok((key, Ok(_))) if !enabled => Slot::Remove(key, Ok(false)),
                Ok((key, Ok(wanted))) => match self.encode(value) {
                    Ok(raw) => Slot::Store(wanted, raw),
                    Err(error) => {
                        // The last value of a key counts, even if it cannot be stored.
                        slots.iter_mut().for_each(|slot| slot.skip(&key));
                        let error = error.with_key(&key);
                        Slot::Remove(key, Err(error))
                    }
                },
            };
            slots.push(slot);
        }
        let ttl = options.ttl.unwrap_or(self.context.validated.ttl);
        Inserts { cache: self.clone(), ttl, keep: options.keep, slots }
    }
}

impl Slot {
    /// Cancels an earlier value of a key.
    fn skip(&mut self, key: &WireKey) {
        if let Self::Store(wanted, _) = self
            && wanted.key == *key
        {
            *self = Self::Remove(key.clone(), Ok(false));
        }
    }
}

impl Inserts {
    /// Stores the values, and returns `true` if all of them were stored.
    ///
    /// Loads in flight cannot overwrite them. If a value cannot be stored, because of its size
    /// or encoding, invalid options, or disabled caches, the older entry is outdated and
    /// removed. Returns `Ok(false)` if the caches are disabled, or if an invalidation or
    /// another insert came in between. Costs two round trips for each [`BATCH`] of values, which
    /// the call waits for for at most the cache's `backend_budget`.
    ///
    /// # Errors
    /// Returns the first error, after all values have been tried.
    ///
    /// # Cancel safety
    /// Stores that were sent complete; later values are not stored.
    pub async fn send(self) -> Result<bool, Error> {
        let answers = self.send_each().await;
        answers.into_iter().try_fold(true, |all, stored| Ok(stored? && all))
    }

    /// Stores the values, and returns for each whether it was stored, in their order.
    /// Otherwise like [`Inserts::send`].
    ///
    /// # Cancel safety
    /// Same as [`Inserts::send`].
    pub async fn send_each(self) -> Vec<Result<bool, Error>> {
        let span = self.cache.put_span(self.slots.len());
        self.send_in_span().instrument(span).await
    }

    async fn send_in_span(self) -> Vec<Result<bool, Error>> {
        let Self { cache, ttl, keep, slots } = self;
        let outdated = slots.iter().filter_map(|slot| match slot {
            Slot::Remove(key, _) => Some(key.clone()),
            Slot::Store(..) | Slot::Invalid(_) => None,
        });
        let removed = cache.remove(outdated.collect()).await;
        let (mut answers, mut inserts, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        for slot in slots {
            match slot {
                Slot::Store(wanted, value) => {
                    positions.push(answers.len());
                    inserts.push((wanted, value, cache.jittered(ttl)));
                    answers.push(Ok(false));
                }
                Slot::Remove(_, answer) => {
                    // That an older entry may remain is the worse failure.
                    answers.push(removed.clone().and(answer));
                }
                Slot::Invalid(error) => answers.push(Err(error)),
            }
        }
        for (batch, positions) in inserts.chunks(BATCH).zip(positions.chunks(BATCH)) {
            cache.engine.runtime.yield_now().await;
            let stored = insert(&cache, batch, keep).await;
            for (((wanted, ..), stored), &position) in batch.iter().zip(stored).zip(positions) {
                let stored = stored.map_err(|error| error.with_key(&wanted.key));
                let stored = cache.counted(stored).map(|stored| stored == Stored::Stored);
                if let Ok(false) = stored {
                    cache.count(Counter::Refused);
                }
                answers[position] = stored;
            }
        }
        answers
    }
}

/// Writes entries in two round trips for all of them together, within one budget, and returns
/// one answer for each.
///
/// The answer is [`Stored::Refused`] for an entry that was concurrently invalidated or
/// inserted. Without the leases in time, nothing is stored later either: an insert that has
/// failed must not undo an invalidation that follows.
async fn insert(
    cache: &ByteCache,
    inserts: &[(Wanted, Bytes, Ttl)],
    keep: Ttl,
) -> Vec<Result<Stored, Error>> {
    let ByteCache { engine, context } = cache;
    let runtime = Arc::clone(&engine.runtime);
    let mut budget = cache.budget_for(1);
    let timed_out = |operation| engine.gate.timed_out(context, operation);

    let wanted: Vec<Wanted> = inserts.iter().map(|(wanted, ..)| wanted.clone()).collect();
    let taking = take_over(engine, context, &wanted, keep);
    let Some(leases) = budget.spend(&*runtime, taking).await else {
        return vec![Err(timed_out(OperationKind::Take)); inserts.len()];
    };
    let fill = |((wanted, value, ttl), lease): (_, &Result<Option<Granted>, Error>)| {
        let (wanted, value, ttl): (&Wanted, &Bytes, &Ttl) = (wanted, value, ttl);
        let insert = Insert { key: wanted.key.clone(), value: value.clone(), ttl: *ttl };
        Some(lease.as_ref().ok()?.as_ref()?.fill(context, insert))
    };
    let inserts = inserts.iter().map(|(wanted, value, ttl)| (wanted, value, ttl));
    let fills: Vec<Fill> = inserts.zip(&leases).filter_map(fill).collect();

    let (count, storing) =
        (fills.len(), finish_even_if_dropped(&runtime, store(cache.clone(), fills)));
    let stored = budget.spend(&*runtime, storing).await;
    let stored = stored.unwrap_or_else(|| vec![Err(timed_out(OperationKind::Store)); count]);
    let mut stored = stored.into_iter();
    // Replicas of the source may lag behind what was to be inserted.
    let held = wanted.iter().zip(&leases).filter(|(_, lease)| matches!(lease, Ok(None)));
    let held: Vec<WireKey> = held.map(|(wanted, _)| wanted.key.clone()).collect();
    if !held.is_empty() && !context.options.hold.is_zero() {
        // A failure is counted where it occurs.
        drop(budget.spend(&*runtime, pin!(cache.remove(held))).await);
    }
    let answer = |lease: Result<Option<Granted>, Error>| match lease? {
        Some(_) => stored.next().unwrap_or(Ok(Stored::Refused)),
        None => Ok(Stored::Refused),
    };
    leases.into_iter().map(answer).collect()
}

/// Stores entries, and releases the leases of those that were not stored.
async fn store(cache: ByteCache, fills: Vec<Fill>) -> Vec<Result<Stored, Error>> {
    let ByteCache { engine, context } = &cache;
    let granted = fills.iter().map(|fill| (fill.key.clone(), fill.token)).collect();
    let mut unused = UnusedLeases::asked_for(engine, context, granted);
    let stored = engine.gate.store_written(context, &fills).await;
    // Those that failed may have been stored anyway; then the lease no longer exists.
    let mut answers = stored.iter();
    unused.retain(|_| answers.next().is_none_or(Result::is_err));
    stored
}
