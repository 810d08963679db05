//! What a cache counts.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Declares the counters once: the enum that names them, the struct that shows them.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident => $field:ident),+ $(,)?) => {
        /// The things that a cache counts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter {
            $($(#[$doc])* $name),+
        }

        const COUNTERS: usize = [$(Counter::$name),+].len();

        /// The counters of one cache, read at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct CacheStats {
            $($(#[$doc])* pub $field: u64),+
        }

        impl Stats {
            /// Reads all counters. They are not read in one instant.
            #[must_use]
            pub fn read(&self) -> CacheStats {
                CacheStats { $($field: self.get(Counter::$name)),+ }
            }
        }
    };
}

counters! {
    /// Calls that were given a value, or a cached negative, from the backend.
    Hit => hits,
    /// Calls that found nothing usable in the backend.
    Miss => misses,
    /// Loaders run.
    Load => loads,
    /// Loaders that ended in an error.
    LoadError => load_errors,
    /// Calls that were given the value of a loader that another call was running.
    Coalesced => coalesced,
    /// Trouble of any kind: operations that the backend refused, failed, or didn't answer
    /// in time; keys, patterns and lifetimes that are none.
    Error => errors,
    /// Entries found that are no value of this cache: corrupt, or of another schema.
    Foreign => foreign,
    /// Entries found with other tags than those of the call, which are misses: two call sites
    /// name different tags for one key.
    OtherTags => other_tags,
    /// Values, loaded or inserted, that were not stored: the key had been invalidated, or
    /// written by another, meanwhile.
    Refused => refused,
    /// Loaders run without the right to store: the backend was away or the wait too long.
    Degraded => degraded,
    /// Leaders that were cancelled and left their flight to a waiter.
    HandedOver => handed_over,
    /// Values that were not stored because they can't be written or are too large.
    Unstorable => unstorable,
}

/// The live counters of one cache.
#[derive(Debug, Default)]
pub struct Stats([AtomicU64; COUNTERS]);

impl Stats {
    /// Adds one.
    pub fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Adds `amount`.
    pub fn add(&self, counter: Counter, amount: u64) {
        self.0[counter as usize].fetch_add(amount, Ordering::Relaxed);
    }

    fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_shows_in_its_own_field() {
        let stats = Stats::default();
        stats.count(Counter::Hit);
        stats.add(Counter::Unstorable, 3);

        let read = stats.read();
        assert_eq!((read.hits, read.unstorable), (1, 3));
        assert_eq!(read, CacheStats { hits: 1, unstorable: 3, ..CacheStats::default() });
    }
}
