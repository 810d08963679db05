//! Removing entries: counted, and an event each.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Change, Gate, Removal};
use crate::backend::Result;
use crate::context::CacheContext;
use crate::key::WireKey;
use crate::observe::{EventKind, Invalidations, shortened};
use crate::outage::OperationKind;

impl Gate {
    /// Removes entries, and returns the number of what was removed, if the backend counts it.
    ///
    /// `cache` is for the log. It is `None` for tags of several caches.
    pub(crate) async fn remove(
        &self,
        cache: Option<&CacheContext>,
        removal: &Removal,
    ) -> Result<u64> {
        let (change, backend) = (Change::from(removal), &self.backend);
        let removing = async {
            let removed = match removal {
                Removal::Keys(keys) => match cache.map(|cache| cache.options.hold) {
                    Some(hold) if !hold.is_zero() => backend.hold(keys, hold).await,
                    _ => backend.invalidate(keys).await,
                },
                Removal::Tags(tags) => backend.invalidate_tags(tags).await.map(|()| 0),
                Removal::Matching(pattern) => backend.invalidate_matching(pattern).await,
            };
            self.noted(cache, OperationKind::Invalidate, removed)
        };
        let removed = self.changing(&change, removing).await;
        self.invalidations.count(removal);
        self.events.add(invalidated(cache, removal, removed.is_ok()));
        removed
    }
}

/// Returns the event of an invalidation.
fn invalidated(cache: Option<&CacheContext>, removal: &Removal, succeeded: bool) -> EventKind {
    let first = |keys: &[WireKey]| -> Vec<String> {
        keys.iter().take(NAMED).map(|key| shortened(key.as_str())).collect()
    };
    let (by, names, count) = match removal {
        Removal::Keys(keys) => ("key", first(keys), keys.len()),
        Removal::Tags(tags) => ("tag", first(tags), tags.len()),
        Removal::Matching(pattern) => {
            let is_all = cache.is_some_and(|cache| {
                pattern.as_str().strip_suffix('*') == Some(cache.key_prefix.as_str())
            });
            let by = if is_all { "all" } else { "pattern" };
            (by, vec![shortened(pattern.as_str())], 1)
        }
    };
    EventKind::Invalidated { by, names, count, succeeded }
}

/// The number of names in the event of an invalidation.
const NAMED: usize = 3;

/// The number of invalidations, by their kind.
#[derive(Default)]
pub(super) struct InvalidationCounts {
    keys: AtomicU64,
    tags: AtomicU64,
    patterns: AtomicU64,
}

impl InvalidationCounts {
    fn count(&self, removal: &Removal) {
        let (counter, amount) = match removal {
            Removal::Keys(keys) => (&self.keys, keys.len()),
            Removal::Tags(tags) => (&self.tags, tags.len()),
            Removal::Matching(_) => (&self.patterns, 1),
        };
        counter.fetch_add(amount as u64, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Invalidations {
        Invalidations {
            keys: self.keys.load(Ordering::Relaxed),
            tags: self.tags.load(Ordering::Relaxed),
            patterns: self.patterns.load(Ordering::Relaxed),
        }
    }
}
