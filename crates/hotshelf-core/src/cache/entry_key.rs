//! The key of an entry, and the tags that come with it.

use crate::error::Error;
use crate::key::WireKey;
use crate::tag::TagId;

/// The key of an entry, with the tags that the cache's own rule gives it.
#[derive(Clone, Debug)]
pub struct EntryKey {
    pub(super) wire: WireKey,
    /// `None` in a cache without such a rule.
    pub(super) tags: Option<Box<Result<Vec<TagId>, Error>>>,
}

impl EntryKey {
    /// Returns the exact key in the backend.
    #[must_use]
    pub fn as_wire_key(&self) -> &WireKey {
        &self.wire
    }
}

/// The key of an entry with no tags of its own.
impl From<WireKey> for EntryKey {
    fn from(wire: WireKey) -> Self {
        Self { wire, tags: None }
    }
}
