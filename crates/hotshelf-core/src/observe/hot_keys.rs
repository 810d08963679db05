//! Which keys a cache reads most.
//!
//! One read in [`PERIOD`] is looked at. The keys of those are counted by the Space-Saving algorithm
//! of Metwally, Agrawal and El Abbadi ("Efficient Computation of Frequent and Top-k Elements in
//! Data Streams", 2005): of a fixed number of counters, the lowest one is given to a new key, which
//! inherits its count. A key that is read more often than one time in [`COUNTERS`] is always found.

use std::cmp::Reverse;

use crate::key::WireKey;
use crate::sync::Mutex;

/// The number of reads of which one is looked at. A prime: a request that always reads the same
/// few keys in turn would show only one of them if their number divided it.
const PERIOD: u64 = 61;

/// The number of keys that are counted.
const COUNTERS: usize = 32;

/// The number of samples after which all counts are halved, so that what was read long ago fades.
const HALVED_AFTER: u64 = 4_096;

/// The keys that are read most.
#[derive(Debug, Default)]
pub struct HotKeys(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    keys: Vec<(WireKey, u64)>,
    samples: u64,
}

impl HotKeys {
    /// Notes the read with a number.
    #[inline]
    pub(crate) fn note(&self, number: u64, key: &WireKey) {
        if number.is_multiple_of(PERIOD) {
            self.sample(key);
        }
    }

    /// Counts a read that is looked at, unless another thread is counting one.
    #[cold]
    fn sample(&self, key: &WireKey) {
        let Some(mut counted) = self.0.try_lock() else { return };
        counted.samples += 1;
        if counted.samples.is_multiple_of(HALVED_AFTER) {
            counted.keys.iter_mut().for_each(|(_, count)| *count /= 2);
            counted.keys.retain(|(_, count)| *count > 0);
        }
        let keys = &mut counted.keys;
        if let Some((_, count)) = keys.iter_mut().find(|(known, _)| known == key) {
            *count += 1;
        } else if keys.len() < COUNTERS {
            keys.push((key.clone(), 1));
        } else if let Some(lowest) = keys.iter_mut().min_by_key(|(_, count)| *count) {
            *lowest = (key.clone(), lowest.1 + 1);
        }
    }

    /// Returns the keys that were read most, the hottest first, each with the number of its reads
    /// that were looked at: at most one too high by those of a key it took the place of.
    #[must_use]
    pub fn top(&self, most: usize) -> Vec<(WireKey, u64)> {
        let mut keys = self.0.lock().keys.clone();
        keys.sort_by_key(|(_, count)| Reverse(*count));
        keys.truncate(most);
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> WireKey {
        WireKey::from(format!("key:{number}"))
    }

    #[test]
    fn hot_keys_are_found_among_many_others() {
        let hot = HotKeys::default();
        for number in 0..30_000 {
            hot.sample(&key(100 + number));
            if number % 2 == 0 {
                hot.sample(&key(1));
            }
            if number % 4 == 0 {
                hot.sample(&key(2));
            }
        }
        let top: Vec<_> = hot.top(2).into_iter().map(|(key, _)| key).collect();
        assert_eq!(top, [key(1), key(2)]);
        assert!(hot.top(1_000).len() <= COUNTERS);
    }

    #[test]
    fn what_was_hot_long_ago_fades() {
        let hot = HotKeys::default();
        (0..HALVED_AFTER).for_each(|_| hot.sample(&key(1)));
        (0..3 * HALVED_AFTER).for_each(|_| hot.sample(&key(2)));
        let top = hot.top(2);
        assert_eq!(top[0].0, key(2));
        assert!(top[1].1 < HALVED_AFTER / 4, "{top:?}");
    }
}
