//! What an entry is worth to a cache.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use hotshelf_core::engine::{Judge, Value, Verdict};
use hotshelf_core::{Counter, Stats, codec};

use super::{CacheValue, Lookup};

/// Decodes an entry. One that is no value of the cache is counted, and is a miss.
pub(super) fn lookup<T: CacheValue>(value: &[u8], absent: bool, stats: &Stats) -> Lookup<T> {
    if absent {
        return Lookup::Absent;
    }
    match codec::decode(value) {
        Ok(value) => Lookup::Present(Arc::new(value)),
        Err(_) => {
            stats.count(Counter::Foreign);
            Lookup::Missing
        }
    }
}

/// Judges entries that turn up while a call waits.
pub(super) struct Typed<'a, T> {
    pub(super) stats: &'a Stats,
    /// Whether a cached negative answers the call.
    pub(super) takes_absent: bool,
    pub(super) values: PhantomData<fn() -> T>,
}

impl<T: CacheValue> Judge for Typed<'_, T> {
    fn judge(&self, value: &Bytes, absent: bool) -> Verdict {
        match lookup::<T>(value, absent, self.stats) {
            Lookup::Present(value) => Verdict::Hit(Value::Present(value)),
            Lookup::Absent if self.takes_absent => Verdict::Hit(Value::Absent),
            Lookup::Absent => Verdict::NoAnswer,
            Lookup::Missing => Verdict::Foreign,
        }
    }
}
