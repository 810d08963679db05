//! Tags: names that invalidate entries of several caches together.
//!
//! A tag has a version: six random bytes, stored under a key of its own. An entry records the
//! versions that its tags had when its load began, and is valid only while they are the same.
//! Invalidating a tag removes its version: no entry matches any more, regardless of their
//! number, and a lost version cannot come back.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};
use crate::key::WireKey;
use crate::runtime::Runtime;

/// The maximum number of tags of an entry.
pub const MOST_TAGS: usize = 128;

/// The version of a tag. It is random and not a counter, so that an old version cannot come
/// back after it was lost. Two versions are equal once in 2⁴⁸ pairs.
pub type TagVersion = [u8; 6];

/// The prefix of the keys that hold the versions of tags.
pub const TAG_PREFIX: &str = "hs:t:";

/// How many names a thread remembers the ids of, and how long these are at most, in bytes. To hash
/// one takes as long as to read five.
const MOST_KNOWN: usize = 1_024;
const LONGEST_KNOWN: usize = 64;

/// The id of a tag in entries and keys: the first 48 bits of the SHA-256 of its name. Two
/// names with the same id are invalidated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagId([u8; 6]);

impl TagId {
    /// Creates an id from its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Returns the id of a name.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Key`] if the name is empty.
    pub fn of(name: &str) -> Result<Self, Error> {
        if name.is_empty() {
            return Err(Error::new(
                ErrorKind::Key,
                "invalid tag \"\": use a name that is not empty",
            ));
        }
        Ok(Self::remembered(name))
    }

    /// Returns the id of a name from the memory of this thread, where it is kept.
    fn remembered(name: &str) -> Self {
        thread_local! {
            static KNOWN: RefCell<HashMap<Box<str>, TagId, RandomState>> = RefCell::default();
        }
        let known = KNOWN.try_with(|known| {
            let mut known = known.borrow_mut();
            if let Some(id) = known.get(name) {
                return *id;
            }
            let id = Self::hashed(name.as_bytes());
            if name.len() <= LONGEST_KNOWN {
                if known.len() >= MOST_KNOWN {
                    known.clear();
                }
                known.insert(name.into(), id);
            }
            id
        });
        // While the thread ends, its memory may be gone.
        known.unwrap_or_else(|_| Self::hashed(name.as_bytes()))
    }

    fn hashed(name: &[u8]) -> Self {
        let hash = Sha256::digest(name);
        let mut bytes = [0; 6];
        bytes.copy_from_slice(&hash[..6]);
        Self(bytes)
    }

    /// Returns the id of the epoch, the tag that all entries of a cache carry, from the prefix
    /// of their keys. It is distinct from the ids of all names: its text begins with a byte
    /// that never occurs in UTF-8.
    #[must_use]
    pub fn of_epoch(key_prefix: &str) -> Self {
        Self::hashed(&[b"\xff", key_prefix.as_bytes()].concat())
    }

    /// Returns the id's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }

    /// Returns the key of the tag's version. Caches of one prefix share their tags.
    #[must_use]
    pub fn key(&self, prefix: &str) -> WireKey {
        let [a, b, c, d, e, f] = self.0;
        let id = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        WireKey::from(format!("{TAG_PREFIX}{prefix}:{id:012x}"))
    }
}

/// Returns what is stored under the key of a tag: its version, and since when that is the tag's, in
/// milliseconds of the server's clock.
#[must_use]
pub fn written(version: TagVersion, since: u64) -> Bytes {
    Bytes::copy_from_slice(&[&version[..], &since.to_be_bytes()].concat())
}

/// Reads what is stored under the key of a tag. `None` if it was not written by hotshelf.
#[inline]
#[must_use]
pub fn read(raw: &[u8]) -> Option<(TagVersion, u64)> {
    let (version, since) = raw.split_first_chunk()?;
    Some((*version, u64::from_be_bytes(since.try_into().ok()?)))
}

/// Creates a new version.
pub fn random_version(runtime: &dyn Runtime) -> TagVersion {
    version_of(runtime.random())
}

/// Returns versions for different tags: the numbers from a random one on. Each is as likely as
/// any other for its tag.
pub fn random_versions(runtime: &dyn Runtime) -> impl Iterator<Item = TagVersion> {
    let first = runtime.random();
    (0..).map(move |number| version_of(first.wrapping_add(number)))
}

fn version_of(number: u64) -> TagVersion {
    let [_, _, version @ ..] = number.to_be_bytes();
    version
}

/// The tags of a call, sorted and without duplicates, with the keys of their versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    prefix: Arc<str>,
    ids: Vec<TagId>,
    keys: Vec<WireKey>,
    exact: bool,
}

impl Tags {
    /// Creates a set of tags.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Key`] if there are more than [`MOST_TAGS`].
    pub fn new(prefix: Arc<str>, ids: impl IntoIterator<Item = TagId>) -> Result<Self, Error> {
        let mut ids: Vec<TagId> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() > MOST_TAGS {
            let message =
                format!("too many tags ({}): use at most {MOST_TAGS} for an entry", ids.len());
            return Err(Error::new(ErrorKind::Key, message));
        }
        let keys = ids.iter().map(|id| id.key(&prefix)).collect();
        Ok(Self { prefix, ids, keys, exact: false })
    }

    /// Creates an empty set.
    #[must_use]
    pub fn none(prefix: Arc<str>) -> Self {
        Self { prefix, ids: Vec::new(), keys: Vec::new(), exact: false }
    }

    /// Returns the set with further tags.
    ///
    /// # Errors
    /// Same as [`Tags::new`].
    pub fn with(&self, ids: impl IntoIterator<Item = TagId>) -> Result<Self, Error> {
        Self::new(Arc::clone(&self.prefix), self.ids.iter().copied().chain(ids))
    }

    /// Sets that entries must carry these tags and no others: the call names them.
    pub(crate) fn exactly(mut self) -> Self {
        self.exact = true;
        self
    }

    /// Returns `true` if entries must carry no other tags.
    pub(crate) fn is_exact(&self) -> bool {
        self.exact
    }

    /// Returns a set of the same prefix.
    pub(crate) fn of_ids(&self, ids: impl IntoIterator<Item = TagId>) -> Self {
        let ids: BTreeSet<TagId> = ids.into_iter().collect();
        let keys = ids.iter().map(|id| id.key(&self.prefix)).collect();
        let (prefix, ids) = (Arc::clone(&self.prefix), ids.into_iter().collect());
        Self { prefix, ids, keys, exact: false }
    }

    /// Returns the set without those of another one.
    pub(crate) fn without(&self, others: &Self) -> Self {
        let own = |id: &TagId| others.ids.binary_search(id).is_err();
        let ids: Vec<TagId> = self.ids.iter().copied().filter(own).collect();
        let keys = ids.iter().map(|id| self.key_of(*id)).collect();
        Self { prefix: Arc::clone(&self.prefix), ids, keys, exact: false }
    }

    /// Returns the union of sets of one prefix, without a limit on their number.
    pub(crate) fn union<'a>(&self, sets: impl IntoIterator<Item = &'a Self>) -> Self {
        let ids: BTreeSet<TagId> = sets.into_iter().flat_map(Self::ids).copied().collect();
        let keys = ids.iter().map(|id| id.key(&self.prefix)).collect();
        let ids = ids.into_iter().collect();
        Self { prefix: Arc::clone(&self.prefix), ids, keys, exact: false }
    }

    /// Returns the key of any tag's version under the same prefix.
    #[must_use]
    pub fn key_of(&self, id: TagId) -> WireKey {
        match self.ids.binary_search(&id) {
            Ok(position) => self.keys[position].clone(),
            Err(_) => id.key(&self.prefix),
        }
    }

    /// Returns the prefix of the caches that share the tags.
    pub(crate) fn prefix(&self) -> &Arc<str> {
        &self.prefix
    }

    /// Returns the tags' ids, sorted.
    #[must_use]
    pub fn ids(&self) -> &[TagId] {
        &self.ids
    }

    /// Returns the keys of the tags' versions, in the order of the ids.
    #[must_use]
    pub fn keys(&self) -> &[WireKey] {
        &self.keys
    }

    /// Returns the ids with these versions.
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
    fn tag_key_contains_its_prefix() {
        let id = TagId::of("product-list").unwrap();
        assert_eq!(id.key("api").as_str(), "hs:t:api:6110d88a24ee");
        assert_ne!(id.key("api"), id.key("web"));
        assert_ne!(id, TagId::of("category:books").unwrap());
    }

    #[test]
    fn ids_are_the_same_whether_or_not_they_are_remembered() {
        let names: Vec<String> = (0..=2 * MOST_KNOWN).map(|number| number.to_string()).collect();
        let long = "x".repeat(LONGEST_KNOWN + 1);
        for _ in 0..2 {
            for name in names.iter().chain([&long]) {
                assert_eq!(TagId::of(name).unwrap(), TagId::hashed(name.as_bytes()));
            }
        }
    }

    #[test]
    fn empty_tag_name_is_rejected() {
        assert_eq!(TagId::of("").unwrap_err().kind(), ErrorKind::Key);
    }
}
