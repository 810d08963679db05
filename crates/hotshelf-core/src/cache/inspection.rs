//! Looking at the entries of a store from outside of its caches: for people and their tools.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::trace::optional_seconds;
use super::{ByteCache, ByteStore};
use crate::backend::KeyScan;
use crate::error::{Error, ErrorKind};
use crate::key::{Pattern, WireKey};
use crate::tag::TAG_PREFIX;
use crate::trailer::{Trailer, TrailerError};

/// The prefix of all keys of hotshelf's own.
const OWN: &str = "hs:";

/// What an entry says of itself. Its times are seconds when it is serialized.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The exact key.
    pub key: String,
    /// The cache that it belongs to, as `prefix:version:name`; `None` if it is of no cache of this
    /// store.
    pub cache: Option<String>,
    /// Its size, with the trailer, in bytes.
    pub size: usize,
    /// What it is.
    pub state: EntryState,
    /// How long ago its load began, by the server's clock.
    #[serde(serialize_with = "optional_seconds")]
    pub age: Option<Duration>,
    /// For how long it is still fresh; zero if it is stale.
    #[serde(rename = "ttl", serialize_with = "optional_seconds")]
    pub fresh_for: Option<Duration>,
    /// The number of tags that it carries.
    pub tags: usize,
    /// The encoded value.
    #[serde(skip)]
    pub value: Bytes,
}

/// What an entry is, as far as it says so itself: whether its tags were invalidated isn't known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryState {
    /// A fresh value.
    Fresh,
    /// A value whose lifetime has ended, in a cache with a stale window.
    Stale,
    /// The knowledge that there is no value.
    Absent,
    /// It was not written by hotshelf, or without metadata.
    Foreign,
    /// Its metadata can't be read.
    Unreadable,
}

impl ByteStore {
    /// Begins a scan of the keys of entries that match a pattern.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Unsupported`] if the backend can't scan.
    pub fn scan(&self, pattern: &Pattern) -> Result<EntryScan, Error> {
        let scan = self.engine.gate.scan(pattern);
        let unsupported = || Error::new(ErrorKind::Unsupported, "the backend can't list keys");
        Ok(EntryScan(scan.ok_or_else(unsupported)?))
    }

    /// Returns what entries say of themselves, in the order of their keys; `None` for a missing one.
    /// Costs one round trip.
    ///
    /// # Errors
    /// If the backend fails.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn inspect(&self, keys: &[WireKey]) -> Result<Vec<Option<Inspection>>, Error> {
        let found = self.engine.gate.raw(keys).await?;
        let inspect = |(key, raw): (&WireKey, Option<Bytes>)| Some(self.inspected(key, &raw?));
        Ok(keys.iter().zip(found).map(inspect).collect())
    }

    fn inspected(&self, key: &WireKey, raw: &Bytes) -> Inspection {
        let cache = self.cache_of(key).map(|cache| cache.id());
        let mut inspection = Inspection {
            key: key.as_str().to_owned(),
            cache,
            size: raw.len(),
            state: EntryState::Foreign,
            age: None,
            fresh_for: None,
            tags: 0,
            value: raw.clone(),
        };
        let (value, trailer) = match Trailer::find(raw) {
            Ok(found) => found,
            Err(TrailerError::Missing) => return inspection,
            Err(_) => return Inspection { state: EntryState::Unreadable, ..inspection },
        };
        inspection.value = raw.slice(value);
        inspection.tags = trailer.tags.len();
        let now = self.engine.gate.clock(key).filter(|_| trailer.loaded_at > 0);
        let until = trailer.loaded_at.saturating_add(trailer.fresh_for);
        inspection.age =
            now.map(|now| Duration::from_millis(now.saturating_sub(trailer.loaded_at)));
        inspection.fresh_for = now.map(|now| Duration::from_millis(until.saturating_sub(now)));
        inspection.state = match (trailer.absent, inspection.fresh_for) {
            (true, _) => EntryState::Absent,
            (false, Some(Duration::ZERO)) => EntryState::Stale,
            (false, _) => EntryState::Fresh,
        };
        inspection
    }

    /// Returns the cache of this store that an entry belongs to.
    #[must_use]
    pub fn cache_of(&self, key: &WireKey) -> Option<ByteCache> {
        let contexts = self.registry.contexts().into_iter();
        let own = contexts.filter(|it| key.as_str().starts_with(it.key_prefix.as_str()));
        let context = own.max_by_key(|it| it.key_prefix.len())?;
        Some(ByteCache { engine: std::sync::Arc::clone(&self.engine), context })
    }

    /// Returns the caches with an [id](ByteCache::id): one for each kind of value that was given
    /// the same name.
    #[must_use]
    pub fn caches_by_id(&self, id: &str) -> Vec<ByteCache> {
        let engine = &self.engine;
        let caches = self.registry.contexts().into_iter();
        let caches =
            caches.map(|context| ByteCache { engine: std::sync::Arc::clone(engine), context });
        caches.filter(|cache| cache.id() == id).collect()
    }
}

impl ByteCache {
    /// Returns `prefix:version:name`, which tells the caches of a store apart.
    #[must_use]
    pub fn id(&self) -> String {
        let namespace = self.namespace();
        cache_id(namespace.prefix_name(), namespace.version_name(), namespace.name())
    }
}

/// Returns the text that tells a cache from others.
pub(crate) fn cache_id(prefix: &str, version: Option<&str>, name: &str) -> String {
    format!("{prefix}:{}:{name}", version.unwrap_or("-"))
}

/// A scan of the keys of entries, step by step. Keys of hotshelf's own, of leases and tags, are left
/// out.
pub struct EntryScan(Box<dyn KeyScan>);

impl EntryScan {
    /// Returns further keys, possibly none; `None` at the end. A key may be returned again. Costs one
    /// round trip, in which a server looks at about 1,000 keys.
    ///
    /// # Errors
    /// If the backend fails. The scan can be continued.
    ///
    /// # Cancel safety
    /// A dropped step is repeated by the next call.
    pub async fn next(&mut self) -> Result<Option<Vec<WireKey>>, Error> {
        let is_entry =
            |key: &WireKey| !key.as_str().starts_with(OWN) && !key.as_str().starts_with(TAG_PREFIX);
        let keys = self.0.next().await?;
        Ok(keys.map(|keys| keys.into_iter().filter(is_entry).collect()))
    }
}

impl std::fmt::Debug for EntryScan {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EntryScan").finish_non_exhaustive()
    }
}
