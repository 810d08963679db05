//! The counters of a cache.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::key::WireKey;
use crate::observe::{HotKeys, LoadTimes};

/// Declares the counters once, for the enum that names them and the struct that shows them.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident => $field:ident),+ $(,)?) => {
        /// The counters of a cache.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter {
            $($(#[$doc])* $name),+
        }

        const COUNTERS: usize = [$(Counter::$name),+].len();

        /// The values of a cache's counters.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct CacheStats {
            $($(#[$doc])* pub $field: u64),+
        }

        impl CacheStats {
            /// Adds the counters of another cache.
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)+
            }
        }

        impl Stats {
            /// Reads all counters. They are not read atomically.
            #[must_use]
            pub fn read(&self) -> CacheStats {
                CacheStats { $($field: self.get(Counter::$name)),+ }
            }
        }
    };
}

counters! {
    /// Calls that returned a value, or a cached negative, from the backend.
    Hit => hits,
    /// Those of the hits that the near tier answered.
    NearHit => near_hits,
    /// Those of the hits whose value was stale.
    StaleHit => stale_hits,
    /// Those of the stale hits that the near tier answered.
    NearStaleHit => near_stale_hits,
    /// Those of the hits that said that there is no value, and were fresh.
    Negative => negatives,
    /// Those of the negatives that the near tier answered.
    NearNegative => near_negatives,
    /// Stale values that callers were given: stale hits, and values instead of an error or of a slow
    /// load.
    Stale => stale,
    /// Those of the stale values that were given instead of an error, or of a slow load.
    StaleInstead => stale_instead,
    /// Calls that found no usable entry in the backend.
    Miss => misses,
    /// Keys that were loaded: loaders that were run, and each key of a run for many.
    Load => loads,
    /// Those of the loaders that ran to replace a value that was served meanwhile.
    Refresh => refreshes,
    /// Loaders that returned an error.
    LoadError => load_errors,
    /// Calls that stopped waiting for a load, by `soft_timeout` or `hard_timeout`.
    TimedOut => timed_out,
    /// Calls that ran no loader, since one had failed a short time before.
    BackedOff => backed_off,
    /// Calls that received the value of another call's loader.
    Coalesced => coalesced,
    /// Failures of any kind: operations that failed or timed out, and invalid keys, tags,
    /// patterns and lifetimes.
    Error => errors,
    /// Entries that are not values of this cache: untracked, corrupt, or of another type.
    Foreign => foreign,
    /// Misses because the entry has other tags than the call: two call sites name different
    /// tags for one key.
    OtherTags => other_tags,
    /// Values that were stored: loaded, inserted and written ones.
    Stored => stored,
    /// Loaded or inserted values that were not stored, because the key was invalidated or
    /// written meanwhile.
    Refused => refused,
    /// Loaders that were run without the right to store: the backend failed, or the wait timed
    /// out.
    Degraded => degraded,
    /// Cancelled leaders that handed their flight over to a waiter.
    HandedOver => handed_over,
    /// Values that were not stored because they cannot be encoded or are too large.
    Unstorable => unstorable,
}

/// The live counters of a cache.
#[derive(Debug, Default)]
pub struct Stats {
    counters: [AtomicU64; COUNTERS],
    load_times: LoadTimes,
    hot_keys: HotKeys,
}

impl Stats {
    /// Returns how long loaders took.
    #[must_use]
    pub fn load_times(&self) -> &LoadTimes {
        &self.load_times
    }

    /// Returns which keys are read most.
    #[must_use]
    pub fn hot_keys(&self) -> &HotKeys {
        &self.hot_keys
    }

    /// Adds a read of a key.
    #[inline]
    pub(crate) fn count_read(&self, counter: Counter, key: &WireKey) {
        let before = self.counters[counter as usize].fetch_add(1, Ordering::Relaxed);
        self.hot_keys.note(before, key);
    }

    /// Adds one.
    pub fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Adds `amount`.
    pub fn add(&self, counter: Counter, amount: u64) {
        self.counters[counter as usize].fetch_add(amount, Ordering::Relaxed);
    }

    fn get(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_has_its_field() {
        let stats = Stats::default();
        stats.count(Counter::Hit);
        stats.add(Counter::Unstorable, 3);

        let read = stats.read();
        assert_eq!((read.hits, read.unstorable), (1, 3));
        assert_eq!(read, CacheStats { hits: 1, unstorable: 3, ..CacheStats::default() });
    }
}
