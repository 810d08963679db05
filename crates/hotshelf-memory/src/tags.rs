//! The versions of tags.

use std::sync::Arc;

use hotshelf_core::tag::{TagVersion, random_version};
use hotshelf_core::{Runtime, WireKey};
use quick_cache::sync::Cache;

/// The most tags with a version. An evicted tag gets a new version when it is captured again:
/// losing one costs loads, and never serves an outdated value.
const TAGS: usize = 100_000;

/// The versions of all tags.
pub(crate) struct Tags {
    versions: Cache<WireKey, TagVersion>,
    runtime: Arc<dyn Runtime>,
}

impl Tags {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { versions: Cache::new(TAGS), runtime }
    }

    /// Returns a tag's version; a tag without one gets a new, unique version.
    pub(crate) fn capture(&self, tag: &WireKey) -> TagVersion {
        let new = || Ok::<_, std::convert::Infallible>(random_version(&*self.runtime));
        self.versions.get_or_insert_with(tag, new).unwrap_or_else(|never| match never {})
    }

    pub(crate) fn get(&self, tag: &WireKey) -> Option<TagVersion> {
        self.versions.get(tag)
    }

    pub(crate) fn forget(&self, tag: &WireKey) {
        self.versions.remove(tag);
    }
}
