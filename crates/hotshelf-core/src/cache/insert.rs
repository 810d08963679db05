//! Writing without a loader.

use std::sync::Arc;

use bytes::Bytes;

use super::ByteCache;
use super::call::CallOptions;
use crate::backend::{BATCH, Fill, Stored};
use crate::codec::Opaque;
use crate::engine::{
    Engine, Granted, Insert, Takeover, WriteOptions, finish_even_if_dropped, release, take_over,
};
use crate::error::Error;
use crate::key::WireKey;
use crate::stats::Counter;
use crate::ttl::Ttl;

/// Values that were encoded, and wait to be [sent](Self::send).
#[derive(Debug)]
#[must_use = "inserts are not sent before `send`"]
pub struct Inserts {
    cache: ByteCache,
    options: WriteOptions,
    ttl: Ttl,
    slots: Vec<Slot>,
}

/// One value of an insert.
#[derive(Debug)]
enum Slot {
    /// It is to be stored.
    Store(WireKey, Bytes),
    /// It can't be stored, and makes the older entry outdated.
    Remove(WireKey, Result<bool, Error>),
    /// Its key is invalid.
    Invalid(Error),
}

impl ByteCache {
    /// Encodes values to be inserted. Of two values of one key the later one counts.
    pub fn insert<'v>(
        &self,
        values: impl IntoIterator<Item = (Result<WireKey, Error>, &'v Opaque)>,
        call: &CallOptions,
    ) -> Inserts {
        let (options, ttl) = self.write_options(call);
        let enabled = self.is_enabled();
        let mut slots: Vec<Slot> = Vec::new();
        for (key, value) in values {
            let slot = match (key, &ttl) {
                (Err(error), _) => Slot::Invalid(error),
                (Ok(key), Err(error)) => Slot::Remove(key, Err(error.clone())),
                (Ok(key), Ok(_)) if !enabled => Slot::Remove(key, Ok(false)),
                (Ok(key), Ok(_)) => match self.encode(value) {
                    Ok(raw) => Slot::Store(key, raw),
                    Err(error) => {
                        // The last value of a key counts, even one that can't be stored.
                        slots.iter_mut().for_each(|slot| slot.skip(&key));
                        let error = error.with_key(&key);
                        Slot::Remove(key, Err(error))
                    }
                },
            };
            slots.push(slot);
        }
        let ttl = ttl.unwrap_or(self.context.validated.ttl);
        Inserts { cache: self.clone(), options, ttl, slots }
    }
}

impl Slot {
    /// Stores nothing under a key after all.
    fn skip(&mut self, key: &WireKey) {
        if let Self::Store(own, _) = self
            && own == key
        {
            *self = Self::Remove(key.clone(), Ok(false));
        }
    }
}

impl Inserts {
    /// Stores the values, and returns whether all of them are stored.
    ///
    /// Loads in flight can't overwrite them. What can't be stored, because of the value, of
    /// the call's options, or because the caches are off, makes the older entry outdated: it
    /// is removed. `Ok(false)` means that, or that an invalidation or another insert came in
    /// between. Costs two round trips for each [`BATCH`] of values.
    ///
    /// # Errors
    /// The first one, after all values have been tried.
    ///
    /// # Cancel safety
    /// What was begun is carried out; later batches are not sent.
    pub async fn send(self) -> Result<bool, Error> {
        let answers = self.send_each().await;
        answers.into_iter().try_fold(true, |all, stored| Ok(stored? && all))
    }

    /// Stores the values, and returns for each, in their order, whether it is stored. As
    /// [`Inserts::send`] in all else.
    ///
    /// # Cancel safety
    /// As [`Inserts::send`].
    pub async fn send_each(self) -> Vec<Result<bool, Error>> {
        let Self { cache, options, ttl, slots } = self;
        let outdated = slots.iter().filter_map(|slot| match slot {
            Slot::Remove(key, _) => Some(Ok(key.clone())),
            Slot::Store(..) | Slot::Invalid(_) => None,
        });
        let removed = cache.invalidate(outdated.collect()).await;
        let (mut answers, mut inserts, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        for slot in slots {
            match slot {
                Slot::Store(key, value) => {
                    positions.push(answers.len());
                    inserts.push(Insert { key, value, ttl: cache.jittered(ttl) });
                    answers.push(Ok(false));
                }
                Slot::Remove(_, answer) => {
                    // An older entry that is still there is the worse failure.
                    answers.push(removed.clone().and(answer));
                }
                Slot::Invalid(error) => answers.push(Err(error)),
            }
        }
        for (batch, positions) in inserts.chunks(BATCH).zip(positions.chunks(BATCH)) {
            let stored = finish_even_if_dropped(
                &cache.engine.runtime,
                insert(Arc::clone(&cache.engine), batch.to_vec(), options.clone()),
            )
            .await;
            for ((insert, stored), &position) in batch.iter().zip(stored).zip(positions) {
                let stored = stored.map_err(|error| error.with_key(&insert.key));
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

/// Writes entries, in two round trips for all of them together, and answers in their order.
///
/// [`Stored::Refused`] is the answer for an entry that was invalidated, or inserted again,
/// in the same moment.
async fn insert(
    engine: Arc<Engine>,
    inserts: Vec<Insert>,
    options: WriteOptions,
) -> Vec<Result<Stored, Error>> {
    let keys = inserts.iter().map(|insert| insert.key.clone()).collect();
    let Takeover { leases, tags } = take_over(&engine, keys, &options).await;
    let fill = |(insert, lease): (Insert, &Result<Option<Granted>, Error>)| {
        let lease = lease.as_ref().ok().copied().flatten()?;
        Some(options.fill(insert, lease, &tags))
    };
    let fills: Vec<Fill> = inserts.into_iter().zip(&leases).filter_map(fill).collect();
    let stored = engine.gate.store_written(&options.cache, &fills).await;

    // It may have been stored all the same; then there is no lease any more.
    let failed = fills.into_iter().zip(&stored).filter(|(_, stored)| stored.is_err());
    let unused: Vec<_> = failed.map(|(fill, _)| (fill.key, fill.token)).collect();
    if !unused.is_empty() {
        release(&engine, &options.cache, unused);
    }
    let mut stored = stored.into_iter();
    let answer = |lease: Result<Option<Granted>, Error>| match lease? {
        Some(_) => stored.next().unwrap_or(Ok(Stored::Refused)),
        None => Ok(Stored::Refused),
    };
    leases.into_iter().map(answer).collect()
}
