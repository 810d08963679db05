//! Keys with large values.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use foldhash::fast::RandomState;
use hotshelf_core::WireKey;

use crate::connection::LARGE;

/// The number of keys that are remembered. A key beyond replaces another one.
const SLOTS: usize = 1024;

/// The bits of a slot that hold the size.
const SIZE: u64 = 63;

/// The keys whose values were large when they were last read or written, so that the next read
/// doesn't delay others. Being mistaken costs time, nothing else.
#[derive(Debug)]
pub(super) struct LargeKeys {
    /// Whether there has been any: most caches have none, and hash no key.
    any: AtomicBool,
    /// The hash of a key in the slot that it selects, and in its lowest bits the binary logarithm
    /// of its size; or 0.
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl LargeKeys {
    pub(super) fn new() -> Self {
        let slots = std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect();
        Self { any: AtomicBool::new(false), slots, hasher: RandomState::default() }
    }

    /// Returns about how many bytes the values of keys had together; 0 if none was large.
    pub(super) fn size_of(&self, keys: &[WireKey]) -> usize {
        if !self.any.load(Ordering::Relaxed) {
            return 0;
        }
        let size = |key| {
            let (hash, slot) = self.slot(key);
            let known = slot.load(Ordering::Relaxed);
            if known & !SIZE == hash { 1 << (known & SIZE) } else { 0 }
        };
        keys.iter().map(size).sum()
    }

    /// Notes the sizes of values, in the order of their keys.
    pub(super) fn note(&self, keys: &[WireKey], values: &[Option<Bytes>]) {
        let sizes = values.iter().map(|value| value.as_ref().map_or(0, Bytes::len));
        keys.iter().zip(sizes).for_each(|(key, size)| self.note_size(key, size));
    }

    pub(super) fn note_size(&self, key: &WireKey, size: usize) {
        if size >= LARGE {
            let (hash, slot) = self.slot(key);
            slot.store(hash | u64::from(size.ilog2()), Ordering::Relaxed);
            self.any.store(true, Ordering::Relaxed);
        } else if self.any.load(Ordering::Relaxed) {
            let (hash, slot) = self.slot(key);
            let known = slot.load(Ordering::Relaxed);
            if known & !SIZE == hash {
                slot.store(0, Ordering::Relaxed);
            }
        }
    }

    fn slot(&self, key: &WireKey) -> (u64, &AtomicU64) {
        let hash = self.hasher.hash_one(key);
        (hash & !SIZE, &self.slots[(hash >> SIZE.count_ones()) as usize % SLOTS])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_values_are_remembered_until_they_are_small() {
        let (large, keys) = (LargeKeys::new(), [WireKey::from("a"), WireKey::from("b")]);
        let value = |size| Some(Bytes::from(vec![0; size]));
        assert_eq!(large.size_of(&keys), 0);
        large.note(&keys, &[value(LARGE - 1), value(LARGE + 1)]);
        assert_eq!((large.size_of(&keys[..1]), large.size_of(&keys)), (0, LARGE));
        large.note(&keys, &[None, None]);
        assert_eq!(large.size_of(&keys), 0);
    }
}
