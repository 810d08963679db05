//! Looking at the entries of a store from outside of its caches: for people and their tools.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::decoded_entry::{DecodedEntry, EntryState};
use super::trace::optional_seconds;
use super::{ByteCache, ByteStore};
use crate::backend::{EntryEnd, KeyScan};
use crate::context::CacheContext;
use crate::error::{Error, ErrorKind};
use crate::key::{Namespace, OWN_PREFIX, Pattern, WireKey};

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
    /// Costs one round trip; of large values only the end is read.
    ///
    /// # Errors
    /// If the backend fails.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn inspect(&self, keys: &[WireKey]) -> Result<Vec<Option<Inspection>>, Error> {
        let found = self.engine.gate.ends(keys).await?;
        let contexts = self.registry.contexts();
        let inspect = |(key, entry): (&WireKey, Option<EntryEnd>)| {
            let cache = owner(&contexts, key).map(|context| id_of(&context.namespace));
            Some(self.inspected(key, cache, &entry?))
        };
        Ok(keys.iter().zip(found).map(inspect).collect())
    }

    /// Returns the encoded value of an entry, without its trailer; `None` for a missing one. Costs one
    /// round trip.
    ///
    /// # Errors
    /// If the backend fails.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn value_of(&self, key: &WireKey) -> Result<Option<Bytes>, Error> {
        let raw = self.engine.gate.raw(std::slice::from_ref(key)).await?.pop().flatten();
        Ok(raw.map(|raw| raw.slice(DecodedEntry::decode(&raw, None).value)))
    }

    fn inspected(&self, key: &WireKey, cache: Option<String>, raw: &EntryEnd) -> Inspection {
        let entry = DecodedEntry::decode(&raw.end, self.engine.gate.clock(key));
        Inspection {
            key: key.as_str().to_owned(),
            cache,
            size: raw.size,
            state: entry.state,
            age: entry.age,
            fresh_for: entry.fresh_for,
            tags: entry.trailer.map_or(0, |trailer| trailer.tags.len()),
        }
    }

    /// Returns the cache of this store that an entry belongs to: one of them, if several kinds of
    /// values were given the same name.
    #[must_use]
    pub fn cache_of(&self, key: &WireKey) -> Option<ByteCache> {
        self.caches_of(key).into_iter().next()
    }

    /// Returns the caches of this store that an entry may belong to: one for each kind of value that
    /// was given the same name.
    #[must_use]
    pub fn caches_of(&self, key: &WireKey) -> Vec<ByteCache> {
        let contexts = self.registry.contexts();
        let Some(owner) = owner(&contexts, key) else { return Vec::new() };
        let same = contexts.iter().filter(|it| it.key_prefix == owner.key_prefix);
        let cache = |context: &Arc<CacheContext>| {
            let (engine, context) = (Arc::clone(&self.engine), Arc::clone(context));
            ByteCache { engine, context }
        };
        same.map(cache).collect()
    }

    /// Returns those of these keys that are of a cache of this store.
    #[must_use]
    pub fn own_keys(&self, mut keys: Vec<WireKey>) -> Vec<WireKey> {
        let contexts = self.registry.contexts();
        keys.retain(|key| owner(&contexts, key).is_some());
        keys
    }

    /// Returns the caches with an [id](ByteCache::id): one for each kind of value that was given
    /// the same name.
    #[must_use]
    pub fn caches_by_id(&self, id: &str) -> Vec<ByteCache> {
        let engine = &self.engine;
        let caches = self.registry.contexts().into_iter();
        let caches = caches.map(|context| ByteCache { engine: Arc::clone(engine), context });
        caches.filter(|cache| cache.id() == id).collect()
    }
}

impl ByteCache {
    /// Returns `prefix:version:name`, which tells the caches of a store apart.
    #[must_use]
    pub fn id(&self) -> String {
        id_of(self.namespace())
    }
}

/// Returns the cache whose keys begin as a key does.
fn owner<'a>(contexts: &'a [Arc<CacheContext>], key: &WireKey) -> Option<&'a Arc<CacheContext>> {
    let own = contexts.iter().filter(|it| key.as_str().starts_with(it.key_prefix.as_str()));
    own.max_by_key(|it| it.key_prefix.len())
}

fn id_of(namespace: &Namespace) -> String {
    cache_id(namespace.prefix_name(), namespace.version_name(), namespace.name())
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
        let is_entry = |key: &WireKey| !key.as_str().starts_with(OWN_PREFIX);
        let keys = self.0.next().await?;
        Ok(keys.map(|keys| keys.into_iter().filter(is_entry).collect()))
    }
}

impl std::fmt::Debug for EntryScan {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EntryScan").finish_non_exhaustive()
    }
}
