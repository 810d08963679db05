//! Counting what calls find: each read once.

use super::{ByteCache, Mistake};
use crate::engine::{MissReason, ReadOutcome, Stale, Use, Value};
use crate::error::{Error, ErrorKind};
use crate::key::WireKey;
use crate::stats::Counter;

impl ByteCache {
    /// Counts what a call has found. A stale value is counted when it is used.
    #[inline]
    pub(super) fn count_outcome(&self, key: &WireKey, outcome: &ReadOutcome, is_local: bool) {
        match outcome {
            ReadOutcome::Hit(value) => self.count_hit(key, value, is_local),
            ReadOutcome::Stale(_) => {}
            ReadOutcome::Miss(miss) => {
                self.context.stats.count_read(Counter::Miss, key);
                self.note_miss(key, miss.reason());
            }
        }
    }

    /// Counts a hit with a fresh value.
    #[inline]
    pub(super) fn count_hit(&self, key: &WireKey, value: &Value, is_local: bool) {
        self.context.stats.count_read(Counter::Hit, key);
        let is_near = is_local && self.engine.gate.has_near_tier(&self.context);
        if is_near {
            self.count(Counter::NearHit);
        }
        if matches!(value, Value::Absent) {
            self.count(Counter::Negative);
            if is_near {
                self.count(Counter::NearNegative);
            }
        }
    }

    /// Counts a hit with a value that is to be loaded anew, and may still be fresh.
    pub(super) fn count_stale_hit(&self, key: &WireKey, stale: &Stale) {
        if stale.usable == Use::RefreshEarly {
            return self.count_hit(key, &stale.value, stale.is_local);
        }
        self.context.stats.count_read(Counter::Hit, key);
        self.count(Counter::StaleHit);
        if stale.is_local && self.engine.gate.has_near_tier(&self.context) {
            self.count(Counter::NearHit);
            self.count(Counter::NearStaleHit);
        }
    }

    /// Counts and logs an entry that is a miss although it is stored.
    fn note_miss(&self, key: &WireKey, reason: MissReason) {
        match reason {
            MissReason::Untracked | MissReason::Unusable => self.count(Counter::Foreign),
            MissReason::OtherCodec => {
                self.count(Counter::Foreign);
                let cure = "encoded by another codec: change the `version` of a cache with it";
                self.report(Mistake::Entry, &Error::new(ErrorKind::Decode, cure).with_key(key));
            }
            MissReason::Undecodable => {
                self.count(Counter::Foreign);
                let error = Error::new(ErrorKind::Decode, "corrupt, or of another type");
                self.report(Mistake::Entry, &error.with_key(key));
            }
            // Two call sites that name different tags turn each other's entries into misses.
            MissReason::OtherTags => {
                self.count(Counter::OtherTags);
                let cure = "name the same tags in every call for a key, or set them for the cache";
                let error = Error::new(ErrorKind::Configuration, cure);
                self.report(Mistake::OtherTags, &error.with_key(key));
            }
            _ => {}
        }
    }
}
