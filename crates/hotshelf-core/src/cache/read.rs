//! Reading.

use futures_util::future::join;

use super::ByteCache;
use crate::backend::BATCH;
use crate::engine::{Miss, MissReason, ReadOutcome};
use crate::error::Error;
use crate::key::WireKey;
use crate::stats::Counter;
use crate::tag::Tags;
use crate::ttl::Remaining;

impl ByteCache {
    /// Reads what is known of a key, and counts a hit or a miss.
    ///
    /// Costs one round trip, and a second one for an entry with tags that are not the
    /// cache's own, whose versions are looked up then.
    ///
    /// # Errors
    /// The key's own, or the backend's.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn read(&self, key: Result<WireKey, Error>) -> Result<ReadOutcome, Error> {
        if !self.is_enabled() {
            return Ok(miss(MissReason::Disabled));
        }
        let key = key?;
        match self.engine.inspect(&self.context, &key, &self.context.tags).await {
            Ok(inspected) => {
                let outcome = inspected.outcome(&self.context, true);
                self.count_outcome(&outcome);
                Ok(outcome)
            }
            Err(error) => self.counted(Err(error.with_key(&key))),
        }
    }

    /// Reads for a loading call. A failure of the backend is a miss, and is counted.
    pub(super) async fn read_for_load(
        &self,
        key: &WireKey,
        tags: &Tags,
        takes_absent: bool,
    ) -> ReadOutcome {
        let outcome = match self.engine.inspect(&self.context, key, tags).await {
            Ok(inspected) => inspected.outcome(&self.context, takes_absent),
            Err(_) => {
                self.count(Counter::Error);
                miss(MissReason::Unreadable)
            }
        };
        self.count_outcome(&outcome);
        outcome
    }

    /// Reads what is known of keys, in their order, and counts a hit or a miss for each valid
    /// one. An invalid key is a miss.
    ///
    /// Costs as many round trips for each [`BATCH`] of keys as [`ByteCache::read`] for one.
    ///
    /// # Errors
    /// The backend's own.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn read_many(
        &self,
        keys: Vec<Result<WireKey, Error>>,
    ) -> Result<Vec<ReadOutcome>, Error> {
        if !self.is_enabled() {
            return Ok(keys.iter().map(|_| miss(MissReason::Disabled)).collect());
        }
        let is_valid: Vec<bool> = keys.iter().map(Result::is_ok).collect();
        let valid: Vec<WireKey> = keys.into_iter().flatten().collect();
        let mut outcomes = Vec::with_capacity(valid.len());
        for batch in valid.chunks(BATCH) {
            let inspected = self.engine.inspect_many(&self.context, batch).await;
            let inspected = self.counted(inspected)?.into_iter();
            outcomes.extend(inspected.map(|entry| {
                let outcome = entry.outcome(&self.context, true);
                self.count_outcome(&outcome);
                outcome
            }));
        }
        let mut outcomes = outcomes.into_iter();
        let outcome = |valid| match valid {
            true => outcomes.next().unwrap_or_else(|| miss(MissReason::Missing)),
            false => miss(MissReason::InvalidKey),
        };
        Ok(is_valid.into_iter().map(outcome).collect())
    }

    /// Returns how long an entry still lives: no time at all if a tag of it was invalidated,
    /// or if it is untracked and the cache doesn't accept such entries. It isn't decoded.
    ///
    /// Costs as many round trips as [`ByteCache::read`], and counts neither a hit nor a
    /// miss.
    ///
    /// # Errors
    /// The key's own, or the backend's.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn remaining(&self, key: Result<WireKey, Error>) -> Result<Remaining, Error> {
        if !self.is_enabled() {
            return Ok(Remaining::Missing);
        }
        let key = key?;
        let (cache, gate) = (&self.context, &self.engine.gate);
        let inspecting = self.engine.inspect(cache, &key, &cache.tags);
        let (inspected, remaining) = join(inspecting, gate.remaining(cache, &key)).await;
        let remaining = inspected.and_then(|inspected| match (inspected.found, remaining?) {
            (Ok(_), remaining) => Ok(remaining),
            (Err(_), _) => Ok(Remaining::Missing),
        });
        self.counted(remaining.map_err(|error| error.with_key(&key)))
    }

    #[inline]
    fn count_outcome(&self, outcome: &ReadOutcome) {
        match outcome {
            ReadOutcome::Hit(_) => self.count(Counter::Hit),
            ReadOutcome::Miss(miss) => {
                if matches!(miss.reason(), MissReason::Untracked | MissReason::Unusable) {
                    self.count(Counter::Foreign);
                }
                self.count(Counter::Miss);
            }
        }
    }
}

fn miss(reason: MissReason) -> ReadOutcome {
    ReadOutcome::Miss(Miss::without_entry(reason))
}
