//! Tags: names by which entries of several caches are invalidated together.
//!
//! A tag has a version, six random bytes under a key of its own. An entry records the
//! versions that its tags had when its load began, and counts only while they are still
//! the same. Invalidating a tag forgets its version: no entry matches any more, however
//! many there are, and a version that is lost can't come back.

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};
use crate::key::WireKey;
use crate::runtime::Runtime;

/// The most tags that an entry carries.
pub const MOST_TAGS: usize = 32;

/// The version of a tag: unique, never a counter, so that losing it can't bring an old
/// version back. Of two random versions, one pair in 2⁴⁸ is the same.
pub type TagVersion = [u8; 6];

/// What stands for a tag's name in entries and keys: the first 48 bits of its SHA-256. Two
/// names that share them are invalidated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagId([u8; 6]);

impl TagId {
    /// Makes an id of its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Makes the id of a name.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Key`] for an empty name.
    pub fn of(name: &str) -> Result<Self, Error> {
        if name.is_empty() {
            return Err(Error::new(ErrorKind::Key, "a tag needs a name"));
        }
        Ok(Self::hashed(name.as_bytes()))
    }

    fn hashed(name: &[u8]) -> Self {
        let hash = Sha256::digest(name);
        let mut bytes = [0; 6];
        bytes.copy_from_slice(&hash[..6]);
        Self(bytes)
    }

    /// Makes the id of the tag that all entries of a cache carry, by what their keys begin
    /// with. No name of a tag has the same text: it starts with a byte that UTF-8 has not.
    #[must_use]
    pub fn of_epoch(stem: &str) -> Self {
        Self::hashed(&[b"\xff", stem.as_bytes()].concat())
    }

    /// Gives the id's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }

    /// Gives the key of the tag's version. Caches of one prefix share their tags.
    #[must_use]
    pub fn key(&self, prefix: &str) -> WireKey {
        let [a, b, c, d, e, f] = self.0;
        let id = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        WireKey::from(format!("hs:t:{prefix}:{id:012x}"))
    }
}

/// Makes a new version.
pub fn random_version(runtime: &dyn Runtime) -> TagVersion {
    let [_, _, version @ ..] = runtime.random().to_be_bytes();
    version
}

/// The tags of a call: sorted, each once, with the keys of their versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    prefix: Arc<str>,
    ids: Vec<TagId>,
    keys: Vec<WireKey>,
}

impl Tags {
    /// Makes a set of tags.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Key`] for more than [`MOST_TAGS`].
    pub fn new(prefix: Arc<str>, ids: impl IntoIterator<Item = TagId>) -> Result<Self, Error> {
        let mut ids: Vec<TagId> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() > MOST_TAGS {
            let message = format!("an entry has {} tags; {MOST_TAGS} are allowed", ids.len());
            return Err(Error::new(ErrorKind::Key, message));
        }
        let keys = ids.iter().map(|id| id.key(&prefix)).collect();
        Ok(Self { prefix, ids, keys })
    }

    /// Makes the set without tags.
    #[must_use]
    pub fn none(prefix: Arc<str>) -> Self {
        Self { prefix, ids: Vec::new(), keys: Vec::new() }
    }

    /// Adds tags.
    ///
    /// # Errors
    /// As [`Tags::new`].
    pub fn with(&self, ids: impl IntoIterator<Item = TagId>) -> Result<Self, Error> {
        Self::new(Arc::clone(&self.prefix), self.ids.iter().copied().chain(ids))
    }

    /// Returns all tags of these sets, which belong to one prefix, however many they are.
    pub(crate) fn union<'a>(&self, sets: impl IntoIterator<Item = &'a Self>) -> Self {
        let ids: BTreeSet<TagId> = sets.into_iter().flat_map(Self::ids).copied().collect();
        let keys = ids.iter().map(|id| id.key(&self.prefix)).collect();
        Self { prefix: Arc::clone(&self.prefix), ids: ids.into_iter().collect(), keys }
    }

    /// Returns the key of the version of any tag under the same prefix.
    #[must_use]
    pub fn key_of(&self, id: TagId) -> WireKey {
        id.key(&self.prefix)
    }

    /// Gives the tags' ids, sorted.
    #[must_use]
    pub fn ids(&self) -> &[TagId] {
        &self.ids
    }

    /// Gives the keys of the tags' versions, in the order of the ids.
    #[must_use]
    pub fn keys(&self) -> &[WireKey] {
        &self.keys
    }

    /// Puts versions beside the ids.
    #[must_use]
    pub fn stamps(&self, versions: &[TagVersion]) -> Vec<TagStamp> {
        let stamp = |(&id, &version)| TagStamp { id, version };
        self.ids.iter().zip(versions).map(stamp).collect()
    }
}

/// A tag and the version that it had at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagStamp {
    /// The tag.
    pub id: TagId,
    /// Its version.
    pub version: TagVersion,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_lives_under_its_prefix() {
        let id = TagId::of("product-list").unwrap();
        assert_eq!(id.key("api").as_str(), "hs:t:api:6110d88a24ee");
        assert_ne!(id.key("api"), id.key("web"));
        assert_ne!(id, TagId::of("category:books").unwrap());
    }

    #[test]
    fn a_tag_needs_a_name() {
        assert_eq!(TagId::of("").unwrap_err().kind(), ErrorKind::Key);
    }
}
