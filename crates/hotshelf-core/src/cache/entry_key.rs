//! The key of an entry, and its tags.

use std::sync::Arc;

use crate::context::CacheContext;
use crate::error::Error;
use crate::key::WireKey;
use crate::tag::Tags;

/// The key of an entry, with the tags from the cache's tag rule.
#[derive(Clone, Debug)]
pub struct EntryKey {
    pub(super) wire: WireKey,
    /// The tags of the cache and of the key. `None` in a cache without a tag rule.
    pub(super) tags: Option<Result<Arc<Tags>, Box<Error>>>,
}

impl EntryKey {
    /// Returns the exact key in the backend.
    #[must_use]
    pub fn as_wire_key(&self) -> &WireKey {
        &self.wire
    }

    /// Returns the tags of the cache and of the key.
    #[inline]
    pub(super) fn tags_in<'a>(&'a self, cache: &'a CacheContext) -> Result<&'a Arc<Tags>, Error> {
        match &self.tags {
            None => Ok(&cache.tags),
            Some(own) => own.as_ref().map_err(|error| (**error).clone()),
        }
    }
}

/// Converts a key into that of an entry without tags of its own.
impl From<WireKey> for EntryKey {
    fn from(wire: WireKey) -> Self {
        Self { wire, tags: None }
    }
}
