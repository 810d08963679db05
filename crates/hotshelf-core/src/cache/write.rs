//! Writing: inserts, and write guards.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::ByteCache;
use super::call::CallOptions;
use crate::backend::{BATCH, Stored};
use crate::codec::Opaque;
use crate::engine::{self, Insert, WriteOptions, Written};
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

/// Keys that were taken over before their source of truth is written.
///
/// What is loaded meanwhile can't be stored. Dropping a guard invalidates the keys: the
/// write may have been committed.
#[derive(Debug)]
#[must_use = "dropping a write guard invalidates its keys"]
pub struct WriteGuard {
    cache: ByteCache,
    guard: engine::WriteGuard,
    keys: Vec<Result<WireKey, Error>>,
    /// How long written values live, or why nothing is stored.
    ttl: Result<Ttl, Error>,
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

    /// Takes keys over, before the write that they are meant for begins.
    ///
    /// With invalid options, and while the caches are off, the keys are invalidated in the
    /// end and nothing is stored. Costs one round trip for each [`BATCH`] of keys.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn write_guard(
        &self,
        keys: Vec<Result<WireKey, Error>>,
        call: CallOptions,
    ) -> WriteGuard {
        let (options, ttl) = self.write_options(&call);
        let valid: BTreeSet<WireKey> = keys.iter().flatten().cloned().collect();
        let guard = self.engine.write_guard(valid, options).await;
        WriteGuard { cache: self.clone(), guard, keys, ttl }
    }

    /// Returns what the entries of a write have in common, and how long they live. Of a call
    /// whose options are invalid nothing is stored.
    fn write_options(&self, call: &CallOptions) -> (WriteOptions, Result<Ttl, Error>) {
        let context = &self.context;
        let tags = self.checked(call.tags_in(context));
        let ttl = tags.as_ref().map_err(Clone::clone);
        let ttl = ttl.and_then(|_| self.checked(call.ttl_in(context)));
        let tags = tags.map_or_else(|_| context.tags.clone(), |tags| tags.into_owned());
        let keep = call.keep_in(context);
        (WriteOptions { cache: context.clone(), tags, keep }, ttl)
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
                    answers.push(Ok(true));
                }
                Slot::Remove(_, answer) => {
                    answers.push(answer.and_then(|stored| removed.clone().map(|_| stored)));
                }
                Slot::Invalid(error) => answers.push(Err(error)),
            }
        }
        for (batch, positions) in inserts.chunks(BATCH).zip(positions.chunks(BATCH)) {
            let stored = cache.engine.insert(batch.to_vec(), options.clone()).await;
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

impl WriteGuard {
    /// Runs the write in the caller's own task and keeps the leases alive meanwhile.
    ///
    /// # Cancel safety
    /// Dropping it drops the write.
    pub async fn run<F: Future>(&self, write: F) -> F::Output {
        self.guard.run(write).await
    }

    /// Keeps the leases alive for as long as it is polled, and never ends: for a write that
    /// can't be passed to [`WriteGuard::run`].
    pub fn keep_alive(&self) -> impl Future<Output = ()> + Send + 'static {
        self.guard.keep_alive()
    }

    /// Encodes what was written, a value for each key in their order, to be stored by
    /// [`WrittenValues::send`]. A key without a value is invalidated; of two values of one
    /// key the later one counts.
    pub fn written<'v>(
        self,
        values: impl IntoIterator<Item = Option<&'v Opaque>>,
    ) -> WrittenValues {
        let Self { cache, guard, keys, ttl } = self;
        let mut failed =
            keys.iter().find_map(|key| key.as_ref().err().cloned()).map_or(Ok(()), Err);
        let mut encoded = BTreeMap::new();
        match ttl {
            Ok(ttl) if cache.is_enabled() => {
                for (key, value) in keys.into_iter().zip(values) {
                    let Ok(key) = key else { continue };
                    match value.map(|value| cache.encode(value)) {
                        Some(Ok(raw)) => drop(encoded.insert(key, (raw, cache.jittered(ttl)))),
                        Some(Err(_)) | None => drop(encoded.remove(&key)),
                    }
                }
            }
            Ok(_) => {}
            Err(error) => failed = failed.and(Err(error)),
        }
        WrittenValues { cache, guard, values: encoded, failed }
    }

    /// Invalidates the keys: the write failed, or may have.
    ///
    /// # Errors
    /// The backend's own: then older entries may still be there.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate(self) -> Result<(), Error> {
        self.cache.counted(self.guard.finish(BTreeMap::new()).await).map(drop)
    }
}

/// Written values that were encoded, and wait to be [sent](Self::send).
#[derive(Debug)]
#[must_use = "dropping written values invalidates their keys"]
pub struct WrittenValues {
    cache: ByteCache,
    guard: engine::WriteGuard,
    values: BTreeMap<WireKey, (Bytes, Ttl)>,
    failed: Result<(), Error>,
}

impl WrittenValues {
    /// Stores the values. A key in any doubt is invalidated: this never undoes an
    /// invalidation or a write of others.
    ///
    /// Costs one round trip for each [`BATCH`] of values, and one more if there is something
    /// to invalidate.
    ///
    /// # Errors
    /// The backend's own: then older entries may still be there. Those of invalid keys and
    /// options, once the others have been dealt with.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn send(self) -> Result<Written, Error> {
        let Self { cache, guard, values, failed } = self;
        let written = cache.counted(guard.finish(values).await);
        written.and_then(|written| failed.map(|()| written))
    }
}
