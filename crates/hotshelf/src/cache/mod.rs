//! Typed views of a store.

mod builder;
mod entry;
mod judge;
mod load;
mod many;
mod tags;
mod ticket;
mod write;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use hotshelf_core::backend::Stored;
use hotshelf_core::engine::{Found, Insert, Standing, View, Writing};
use hotshelf_core::tag::Tags;
use hotshelf_core::{
    CacheStats, Counter, Error, ErrorKind, Jitter, Key, Namespace, Remaining, Stats, Ttl, WireKey,
    codec,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::invalidation::Invalidation;
use crate::store::Shared;
pub use builder::CacheBuilder;
pub(crate) use builder::CacheOptions;
pub use entry::Entry;
pub use ticket::FillTicket;
pub use write::Written;

/// What a cache can hold: whatever serde writes as JSON and reads back.
///
/// A value that JSON doesn't bring back as it was, a NaN or `Some(None)` say, is read back
/// as what JSON made of it, or is a miss.
pub trait CacheValue: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> CacheValue for T {}

/// The values of one type under one name. A cheap handle: clone it freely.
///
/// Methods come in two tempers. The plain ones never fail: to them, trouble with the
/// backend is a miss, and is counted in [`Cache::stats`]. Their `try_` twins report it.
pub struct Cache<T> {
    inner: Arc<Inner>,
    values: PhantomData<fn() -> T>,
}

/// What the handles of one cache share.
pub(crate) struct Inner {
    shared: Arc<Shared>,
    /// The cache's number in its store.
    number: u64,
    namespace: Namespace,
    /// What all keys begin with.
    stem: String,
    /// The tags that all entries carry.
    tags: Tags,
    options: CacheOptions,
    stats: Arc<Stats>,
}

/// What a cache knows of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// Nothing.
    Missing,
    /// That there is no value: a loader said so, and it was cached.
    Absent,
    /// The value.
    Present(Arc<T>),
}

impl<T> Lookup<T> {
    /// Gives the value, if there is one.
    #[must_use]
    pub fn present(self) -> Option<Arc<T>> {
        match self {
            Self::Present(value) => Some(value),
            Self::Missing | Self::Absent => None,
        }
    }
}

impl<T: CacheValue> Cache<T> {
    /// Reads a value. Trouble with the backend is a miss, and is counted.
    ///
    /// Costs one round trip, and a second one for an entry with tags, whose versions are
    /// looked up then.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn get<'k>(&self, key: impl Into<Key<'k>>) -> Option<Arc<T>> {
        self.lookup(key).await.present()
    }

    /// Reads a value and reports trouble with the backend.
    ///
    /// # Errors
    /// The backend's own, or of kind [`ErrorKind::Key`] for a key that layout v2 rejects.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn try_get<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<Arc<T>>, Error> {
        self.try_lookup(key).await.map(Lookup::present)
    }

    /// Reads what is known of a key, a cached negative included.
    ///
    /// Costs as much as [`Cache::get`]. Trouble with the backend is [`Lookup::Missing`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn lookup<'k>(&self, key: impl Into<Key<'k>>) -> Lookup<T> {
        // The error was counted where it arose.
        self.try_lookup(key).await.unwrap_or(Lookup::Missing)
    }

    /// Reads what is known of a key and reports trouble with the backend.
    ///
    /// # Errors
    /// As [`Cache::try_get`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn try_lookup<'k>(&self, key: impl Into<Key<'k>>) -> Result<Lookup<T>, Error> {
        if !self.inner.shared.is_enabled() {
            return Ok(Lookup::Missing);
        }
        let key = self.counted(self.wire_key(&key.into()))?;
        let view = self.view(&self.inner.tags);
        let found = self.inner.shared.engine.read(&key, view).await;
        let found = self.counted(found.map_err(|error| error.with_key(&key)))?;
        Ok(self.judge(found))
    }

    /// Says whether a value stands at a key. Costs as much as [`Cache::get`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn contains_key<'k>(&self, key: impl Into<Key<'k>>) -> bool {
        self.get(key).await.is_some()
    }

    /// Says whether a value stands at a key and reports trouble with the backend.
    ///
    /// # Errors
    /// As [`Cache::try_get`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn try_contains_key<'k>(&self, key: impl Into<Key<'k>>) -> Result<bool, Error> {
        self.try_get(key).await.map(|value| value.is_some())
    }

    /// Says how long an entry still lives. Trouble with the backend is
    /// [`Remaining::Missing`].
    ///
    /// Costs one round trip.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    #[doc(alias = "get_ttl")]
    pub async fn remaining<'k>(&self, key: impl Into<Key<'k>>) -> Remaining {
        self.try_remaining(key).await.unwrap_or(Remaining::Missing)
    }

    /// Says how long an entry still lives and reports trouble with the backend.
    ///
    /// # Errors
    /// As [`Cache::try_get`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn try_remaining<'k>(&self, key: impl Into<Key<'k>>) -> Result<Remaining, Error> {
        if !self.inner.shared.is_enabled() {
            return Ok(Remaining::Missing);
        }
        let key = self.counted(self.wire_key(&key.into()))?;
        let remaining = self.inner.shared.engine.backend().remaining(&key).await;
        self.counted(remaining.map_err(|error| error.with_key(&key)))
    }

    /// Writes a value. Trouble with the backend is counted.
    ///
    /// Costs two round trips. Loads in flight can't overwrite it. It is meant for
    /// warm-up, batches and values that never change: after a write to the source of
    /// truth, [`Cache::write_through`] or [`Cache::invalidate`] is right, since of two inserts
    /// the older may come last.
    ///
    /// The entry carries the tags of the cache, its [`epoch`](CacheBuilder::epoch) or none;
    /// [`entry(key).tags(…)`](Entry::tags) takes others.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    #[doc(alias = "set")]
    pub async fn insert<'k>(&self, key: impl Into<Key<'k>>, value: impl Into<Arc<T>>) {
        let _counted = self.try_insert(key, value).await;
    }

    /// Writes a value and reports trouble.
    ///
    /// That an invalidation or another insert came in between is none: then theirs is the
    /// last word, and `refused` is counted.
    ///
    /// # Errors
    /// The backend's own; of kind [`ErrorKind::Encode`] or [`ErrorKind::TooLarge`] for a
    /// value that can't be stored.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn try_insert<'k>(
        &self,
        key: impl Into<Key<'k>>,
        value: impl Into<Arc<T>>,
    ) -> Result<(), Error> {
        let (tags, ttl) = (self.inner.tags.clone(), self.inner.options.ttl);
        self.insert_for(self.wire_key(&key.into()), &value.into(), tags, ttl).await
    }

    /// Removes an entry, and refuses every load of it that is in flight.
    ///
    /// Call it after the change is committed. Once it has answered, no later call is
    /// given an older value. It works while the caches are switched off, too.
    ///
    /// Costs one round trip.
    ///
    /// # Errors
    /// The backend's own: then the entry may still stand.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    #[doc(alias = "remove")]
    #[doc(alias = "delete")]
    pub async fn invalidate<'k>(&self, key: impl Into<Key<'k>>) -> Result<Invalidation, Error> {
        let key = self.counted(self.wire_key(&key.into()))?;
        self.invalidate_keys(vec![key]).await
    }

    /// Removes all entries whose identifier matches a glob pattern: `list:*`.
    ///
    /// The pattern has to begin with a literal character. Identifiers that users chose go
    /// into it through [`Pattern::escape`]. It walks over all keys of the server, 1,000 at
    /// a step, twice: prefer [`Cache::invalidate`] where you know the keys. Identifiers
    /// that layout v2 has hashed, for keys of more than 512 bytes, match no pattern.
    ///
    /// [`Pattern::escape`]: crate::Pattern::escape
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Key`] for a pattern that could match every key; else the
    /// backend's own: then some entries may still stand.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped: the walk goes on to its end.
    pub async fn invalidate_pattern(&self, pattern: &str) -> Result<Invalidation, Error> {
        let pattern = self.counted(self.inner.namespace.pattern(&self.inner.stem, pattern))?;
        let removed = self.inner.shared.engine.invalidate_matching(pattern).await;
        self.counted(removed).map(Invalidation::applied)
    }

    /// Gives the exact key of an entry in the backend.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Key`] for a key that layout v2 rejects.
    pub fn wire_key(&self, key: &Key<'_>) -> Result<WireKey, Error> {
        self.inner.namespace.wire_key_after(&self.inner.stem, key)
    }

    /// Begins a call with options of its own.
    pub fn entry<'a>(&'a self, key: impl Into<Key<'a>>) -> Entry<'a, T> {
        Entry::new(self, key.into())
    }

    /// Says what this cache has counted in this process.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.inner.stats.read()
    }

    /// Judges what was read for a call that counts as a hit or a miss.
    fn judge(&self, found: Found) -> Lookup<T> {
        let found = match found {
            Found::Entry { value, absent, .. } => judge::lookup(&value, absent, &self.inner.stats),
            Found::Unusable(standing, _) => {
                self.count_foreign(standing);
                Lookup::Missing
            }
            Found::Missing => Lookup::Missing,
        };
        let missed = matches!(found, Lookup::Missing);
        let counter = if missed { Counter::Miss } else { Counter::Hit };
        self.inner.stats.count(counter);
        found
    }

    /// How this cache looks at entries that are to carry these tags.
    ///
    /// A caller that names tags is given entries that it could have loaded itself. One that
    /// names none, and so brings the cache's own alone, takes entries with any others.
    fn view<'a>(&self, tags: &'a Tags) -> View<'a> {
        let exactly = tags.ids() != self.inner.tags.ids();
        View { tags, exactly, format: self.inner.options.format }
    }

    /// What the entries of a write have in common.
    fn writing(&self, tags: Tags, ttl: Ttl) -> Writing {
        let options = &self.inner.options;
        let (format, keep) = (options.format, options.keep(ttl));
        Writing { tags, format, keep, stats: Arc::clone(&self.inner.stats) }
    }

    /// Counts an entry that is none of ours; one that is dead by its tags is ours.
    fn count_foreign(&self, standing: Standing) {
        if standing == Standing::Foreign {
            self.inner.stats.count(Counter::Foreign);
        }
    }

    async fn insert_for(
        &self,
        key: Result<WireKey, Error>,
        value: &T,
        tags: Tags,
        ttl: Ttl,
    ) -> Result<(), Error> {
        let key = self.counted(key)?;
        if !self.inner.shared.is_enabled() {
            return self.invalidate_keys(vec![key]).await.map(drop);
        }
        let value = match self.encode(value) {
            Ok(value) => value,
            Err(error) => {
                // What can't be stored has made the entry outdated all the same.
                let removed = self.invalidate_keys(vec![key.clone()]).await;
                return removed.and(Err(error.with_key(&key)));
            }
        };
        let insert = Insert { key: key.clone(), value, ttl: self.jittered(ttl) };
        let writing = self.writing(tags, ttl);
        let answers = self.inner.shared.engine.insert(vec![insert], writing).await;
        let stored = answers.into_iter().next().unwrap_or(Ok(Stored::Refused));
        self.note_insert(stored.map_err(|error| error.with_key(&key)))
    }

    /// Counts what became of an insert. That it was overtaken is no error.
    fn note_insert(&self, stored: Result<Stored, Error>) -> Result<(), Error> {
        if let Ok(Stored::Refused) = &stored {
            self.inner.stats.count(Counter::Refused);
        }
        self.counted(stored.map(drop))
    }

    async fn invalidate_keys(&self, keys: Vec<WireKey>) -> Result<Invalidation, Error> {
        let removed = self.inner.shared.engine.invalidate(keys).await;
        self.counted(removed).map(Invalidation::applied)
    }

    /// Writes a value in the cache's format; what can't be stored is counted.
    fn encode(&self, value: &T) -> Result<Bytes, Error> {
        let limit = self.inner.options.max_value_bytes;
        let encoded = codec::encode(value).and_then(|raw| match raw.len() <= limit {
            true => Ok(raw),
            false => Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "a value of {} bytes is not stored; `max_value_bytes` is {limit}",
                    raw.len()
                ),
            )),
        });
        if let Err(error) = &encoded {
            self.inner.stats.count(Counter::Unstorable);
            tracing::warn!(%error, cache = self.inner.namespace.name(), "a value was not stored");
        }
        encoded
    }

    fn jittered(&self, ttl: Ttl) -> Ttl {
        let jitter: Jitter = self.inner.options.jitter;
        jitter.apply(ttl, self.inner.shared.engine.runtime())
    }

    /// Counts trouble, which the plain methods don't show.
    fn counted<V>(&self, result: Result<V, Error>) -> Result<V, Error> {
        if let Err(error) = &result {
            self.inner.stats.count(Counter::Error);
            tracing::debug!(%error, cache = self.inner.namespace.name(), "trouble with the cache");
        }
        result
    }
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), values: PhantomData }
    }
}

impl<T> fmt::Debug for Cache<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Cache");
        debug.field("namespace", &self.inner.namespace);
        debug.field("options", &self.inner.options).finish_non_exhaustive()
    }
}
