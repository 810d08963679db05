//! Typed views of a store.

mod builder;
mod entry;
mod fallible;
mod load;
mod many;
mod ticket;
mod write;

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use hotshelf_core::cache::{ByteCache, ReadOutcome, Value};
use hotshelf_core::{CacheStats, Error, IntoKey, Remaining, WireKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::invalidation::Invalidation;
pub use builder::CacheBuilder;
pub use entry::Entry;
pub use fallible::{Fallible, FallibleEntry};
pub use ticket::FillTicket;
pub use write::Written;

/// What a cache can hold: any type that serde encodes as JSON and decodes again.
///
/// A value that JSON doesn't bring back as it was, a NaN or `Some(None)` say, is read back
/// as what JSON made of it, or is a miss.
pub trait CacheValue: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> CacheValue for T {}

/// The values of one type under one name. A cheap handle: clone it freely.
///
/// Keys are anything that is [`IntoKey`]: text, integers, tuples of these.
///
/// A failure of the backend never reaches the caller: it is a miss, and is counted in
/// [`Cache::stats`]. [`Cache::fallible`] has the same methods that report it. A name with `try`
/// in it takes a loader that may fail, and returns that loader's error.
pub struct Cache<T> {
    bytes: ByteCache,
    values: PhantomData<fn() -> T>,
}

/// What a cache knows of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// Nothing.
    Missing,
    /// That there is no value: a loader said so, and it was cached.
    Absent,
    /// The value.
    Present(Arc<T>),
}

impl<T> Lookup<T> {
    /// Returns the value, if there is one.
    #[must_use]
    pub fn present(self) -> Option<Arc<T>> {
        match self {
            Self::Present(value) => Some(value),
            Self::Missing | Self::Absent => None,
        }
    }
}

impl<T> Clone for Lookup<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Missing => Self::Missing,
            Self::Absent => Self::Absent,
            Self::Present(value) => Self::Present(Arc::clone(value)),
        }
    }
}

impl<T: CacheValue> From<ReadOutcome> for Lookup<T> {
    fn from(outcome: ReadOutcome) -> Self {
        match outcome {
            ReadOutcome::Hit(value) => present(value).map_or(Self::Absent, Self::Present),
            ReadOutcome::Miss(_) => Self::Missing,
        }
    }
}

impl<T: CacheValue> Cache<T> {
    /// Reads a value. A failure of the backend is a miss, and is counted.
    ///
    /// Costs one round trip, and a second one for an entry with tags that the call didn't
    /// bring: their versions are looked up then.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn get(&self, key: impl IntoKey) -> Option<Arc<T>> {
        // Not by way of `lookup`: each async function on the way costs a hit time.
        let outcome = self.bytes.read(Ok(self.bytes.key(&key.into_key()))).await;
        outcome.ok().and_then(|outcome| Lookup::from(outcome).present())
    }

    /// Reads what is known of a key, a cached negative included.
    ///
    /// Costs as much as [`Cache::get`]. A failure of the backend is [`Lookup::Missing`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn lookup(&self, key: impl IntoKey) -> Lookup<T> {
        // The error was counted where it arose.
        self.fallible().lookup(key).await.unwrap_or(Lookup::Missing)
    }

    /// Reports whether the key has a value. Costs as much as [`Cache::get`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn contains_key(&self, key: impl IntoKey) -> bool {
        self.get(key).await.is_some()
    }

    /// Returns how long an entry still lives. A failure of the backend is
    /// [`Remaining::Missing`], and so is an entry whose tag was invalidated, or one that a
    /// plain client wrote where such entries are rejected. It is not decoded: one of another
    /// type has a lifetime.
    ///
    /// Costs as much as [`Cache::get`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    #[doc(alias = "get_ttl")]
    pub async fn remaining(&self, key: impl IntoKey) -> Remaining {
        self.fallible().remaining(key).await.unwrap_or(Remaining::Missing)
    }

    /// Writes a value, and returns whether it is stored. A failure of the backend is counted.
    ///
    /// Costs two round trips. Loads in flight can't overwrite it. It is meant for
    /// warm-up, batches and values that never change: after a write to the source of
    /// truth, [`Cache::write_through`] or [`Cache::invalidate`] is right, since of two inserts
    /// the older may come last. A value that can't be stored removes the older entry.
    ///
    /// The entry carries the [tags of the cache](CacheBuilder::tags);
    /// [`entry(key).tags(…)`](Entry::tags) adds others.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    #[doc(alias = "set")]
    pub async fn insert(&self, key: impl IntoKey, value: impl Into<Arc<T>>) -> bool {
        // The error was counted where it arose.
        self.fallible().insert(key, value).await.unwrap_or(false)
    }

    /// Removes an entry, and refuses every load of it that is in flight.
    ///
    /// Call it after the change is committed. Once it has answered, no later call is
    /// given an older value. It works while the caches are switched off, too.
    ///
    /// Costs one round trip.
    ///
    /// # Errors
    /// The backend's own: then the entry may still be there.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    #[doc(alias = "remove")]
    #[doc(alias = "delete")]
    pub async fn invalidate(&self, key: impl IntoKey) -> Result<Invalidation, Error> {
        let key = self.bytes.key(&key.into_key());
        self.bytes.invalidate(vec![Ok(key)]).await.map(Invalidation::applied)
    }

    /// Removes all entries whose identifier matches a glob pattern: `list:*`.
    ///
    /// The pattern has to begin with a literal character. Identifiers that users chose go
    /// into it through [`Pattern::escape`]. A comma separates the elements of a tuple:
    /// `acme,*` matches `("acme", 42)`. It scans all keys of the server, 1,000 at a time,
    /// twice: prefer [`Cache::invalidate`] where you know the keys. Identifiers
    /// that were hashed, for keys of more than 512 bytes, match no pattern.
    ///
    /// [`Pattern::escape`]: crate::Pattern::escape
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Key`] for a pattern that could match every key; else the
    /// backend's own: then some entries may still be there.
    ///
    /// [`ErrorKind::Key`]: crate::ErrorKind::Key
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate_pattern(&self, pattern: &str) -> Result<Invalidation, Error> {
        self.bytes.invalidate_pattern(Ok(pattern), false).await.map(Invalidation::applied)
    }

    /// Invalidates all entries that carry a tag, in all caches of the same prefix, and
    /// refuses every load of them that is in flight.
    ///
    /// Costs one round trip, no matter how many entries there are: they stay until they
    /// expire, and are misses. `removed` is 0.
    ///
    /// # Errors
    /// Of kind [`Key`](crate::ErrorKind::Key) for a tag without a name; else the backend's
    /// own: then the entries may still be hits.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate_tag(&self, name: &str) -> Result<Invalidation, Error> {
        self.bytes.invalidate_tags([Ok(name)]).await.map(|()| Invalidation::applied(0))
    }

    /// Removes all entries of this cache.
    ///
    /// With [`epoch`](CacheBuilder::epoch) that is one round trip, however many there are,
    /// and `removed` is 0. Else it scans all keys of the server. In fastapi-rc's layout these
    /// are all whose key begins as this cache's do: those of a cache `users:archive` belong to
    /// a cache `users` of the same prefix and version, too.
    ///
    /// # Errors
    /// The backend's own: then some entries may still be there.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    #[doc(alias = "clear")]
    pub async fn invalidate_all(&self) -> Result<Invalidation, Error> {
        self.bytes.invalidate_all().await.map(Invalidation::applied)
    }

    /// Returns the exact key of an entry in the backend.
    #[must_use]
    pub fn wire_key(&self, key: impl IntoKey) -> WireKey {
        self.bytes.wire_key(&key.into_key())
    }

    /// Begins a call with options of its own.
    pub fn entry<'a>(&'a self, key: impl IntoKey + 'a) -> Entry<'a, T> {
        Entry::new(self, key.into_key())
    }

    /// Returns what this cache has counted in this process.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.bytes.stats()
    }
}

/// Returns a value as what the cache's codec decodes it to; `None` for a known absence.
fn present<T: CacheValue>(value: Value) -> Option<Arc<T>> {
    match value {
        Value::Present(value) => Some(of_its_type(value)),
        Value::Absent => None,
    }
}

/// Returns a shared value or error as what it is: callers that share it share its type.
fn of_its_type<V: Send + Sync + 'static>(shared: Arc<dyn Any + Send + Sync>) -> Arc<V> {
    shared.downcast().expect("callers of one flight share one type")
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), values: PhantomData }
    }
}

impl<T> fmt::Debug for Cache<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Cache");
        debug.field("namespace", self.bytes.namespace());
        debug.field("options", self.bytes.options()).finish_non_exhaustive()
    }
}
