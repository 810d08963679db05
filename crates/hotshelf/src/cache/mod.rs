//! Typed views of a store.

mod builder;
mod context;
mod entry;
mod fallible;
mod load;
mod load_many;
mod loading;
mod many;
mod refresh;
mod ticket;
mod warm;
mod write;

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use hotshelf_core::cache::{ByteCache, CallOptions, Explanation, ReadOutcome, Value};
use hotshelf_core::{CacheStats, Error, IntoKey, Remaining, WireKey};

use crate::invalidation::Invalidation;
pub use builder::CacheBuilder;
pub use context::LoadContext;
pub use entry::Entry;
pub use fallible::{Fallible, FallibleEntry};
pub use loading::Loading;
pub use ticket::FillTicket;
pub use warm::{Warm, Warmed};
pub use write::Written;

/// A type that a cache can hold: any that threads can share. It is encoded by the cache's
/// [codec](CacheBuilder::codec): by serde as JSON, unless another one is set.
pub trait CacheValue: Send + Sync + 'static {}

impl<T: Send + Sync + 'static> CacheValue for T {}

/// A cache of values of one type, under one name. A cheap handle: clone it freely.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), hotshelf::Error> {
/// let users = hotshelf::Store::memory().cache::<String>("users").build()?;
/// let user = users.get_or_insert_with(42, async || "Ada, from the database".to_owned()).await;
/// assert_eq!(*user, "Ada, from the database");
/// assert!(users.contains_key(42).await);
/// users.invalidate(42).await?;
/// assert_eq!(users.get(42).await, None);
/// # Ok(())
/// # }
/// ```
///
/// Keys are anything that implements [`IntoKey`]: text, integers and tuples of these.
///
/// Failures of the backend never reach the caller: they are misses, and are counted in
/// [`Cache::stats`]. [`Cache::fallible`] returns a view with the same methods that reports
/// them. Methods with `try` in their name take a loader that may fail, and return its error.
pub struct Cache<T> {
    pub(crate) bytes: ByteCache,
    values: PhantomData<fn() -> T>,
}

/// The result of [`Cache::lookup`].
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// Neither a value nor a negative is cached.
    Missing,
    /// A negative is cached: a loader found that there is no value.
    Absent,
    /// The cached value.
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
            ReadOutcome::Stale(_) | ReadOutcome::Miss(_) => Self::Missing,
        }
    }
}

impl<T: CacheValue> Cache<T> {
    /// Returns a value, or `None` on a miss. A failure of the backend is a miss, and is
    /// counted.
    ///
    /// Costs one round trip, and a second one to look up the versions of tags that the entry
    /// carries but the call didn't name.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn get(&self, key: impl IntoKey) -> Option<Arc<T>> {
        // Not through `lookup`: each nested async function slows down a hit.
        let outcome = self.bytes.read(Ok(self.bytes.key(&key.into_key()))).await;
        outcome.ok().and_then(|outcome| Lookup::from(outcome).present())
    }

    /// Returns the cached value or negative of a key.
    ///
    /// Costs as much as [`Cache::get`]. If the backend fails, returns [`Lookup::Missing`] and
    /// counts the failure.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn lookup(&self, key: impl IntoKey) -> Lookup<T> {
        // The error was counted where it arose.
        self.fallible().lookup(key).await.unwrap_or(Lookup::Missing)
    }

    /// Returns `true` if the key has a value. Costs as much as [`Cache::get`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn contains_key(&self, key: impl IntoKey) -> bool {
        self.get(key).await.is_some()
    }

    /// Returns the remaining lifetime of an entry.
    ///
    /// Returns [`Remaining::Missing`] if the backend fails, if a tag of the entry was
    /// invalidated, or if a plain client wrote it and the cache rejects such entries. The
    /// entry is not decoded: a value of another type has a lifetime too.
    ///
    /// Costs as much as [`Cache::get`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    #[doc(alias = "get_ttl")]
    pub async fn remaining(&self, key: impl IntoKey) -> Remaining {
        self.fallible().remaining(key).await.unwrap_or(Remaining::Missing)
    }

    /// Inserts a value, and returns `true` if it was stored. A failure of the backend is
    /// counted.
    ///
    /// Costs two round trips. Loads in flight cannot overwrite the value. If the value cannot
    /// be stored, the older entry is removed.
    ///
    /// Use it for warm-up, batches and values that never change. After a write to the source
    /// of truth, use [`Cache::write_through`] or [`Cache::invalidate`]: of two concurrent
    /// inserts, the outdated one may come last.
    ///
    /// The entry carries the [tags of the cache](CacheBuilder::tags);
    /// [`entry(key).tags(…)`](Entry::tags) adds others.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
    #[doc(alias = "set")]
    pub async fn insert(&self, key: impl IntoKey, value: impl Into<Arc<T>>) -> bool {
        // The error was counted where it arose.
        self.fallible().insert(key, value).await.unwrap_or(false)
    }

    /// Returns what is known of a key, and what a call would find: its entry with age, tags and their
    /// versions, whether the near tier answers, and why it would be a miss. Display it, or serialize
    /// it.
    ///
    /// Costs five round trips at most, and counts neither a hit nor a miss.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), hotshelf::Error> {
    /// let prices = hotshelf::Store::memory().cache::<u32>("prices").build()?;
    /// let explained = prices.explain("lamp").await?;
    /// assert!(explained.to_string().contains("a miss: there is no entry"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if the backend fails.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn explain(&self, key: impl IntoKey) -> Result<Explanation, Error> {
        let key = self.bytes.key(&key.into_key());
        self.bytes.explain(Ok(key), &CallOptions::default()).await
    }

    /// Makes the value of a key stale, as if its `time_to_live` had ended: calls load it anew, and
    /// may be given it meanwhile or if that fails, as the cache's options allow. Returns `true` if
    /// there was a value.
    ///
    /// It is no invalidation: a load in flight goes on, and may store what it has read before. Costs
    /// two round trips.
    ///
    /// # Errors
    /// Returns an error if the backend fails, or of kind
    /// [`Configuration`](crate::ErrorKind::Configuration) in a cache with `strict_plain` or
    /// `plain_readers`.
    ///
    /// # Cancel safety
    /// May be dropped at any point. It is then unknown whether the value is stale.
    pub async fn expire(&self, key: impl IntoKey) -> Result<bool, Error> {
        self.bytes.expire(Ok(self.bytes.key(&key.into_key()))).await
    }

    /// Removes an entry, and revokes every load of it in flight.
    ///
    /// Call it after the change has been committed. Once it has returned `Ok`, no later call
    /// gets an older value. It works while the caches are disabled, too.
    ///
    /// Costs one round trip.
    ///
    /// # Errors
    /// Returns an error if the backend fails; the entry may then still exist.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
    #[doc(alias = "remove")]
    #[doc(alias = "delete")]
    pub async fn invalidate(&self, key: impl IntoKey) -> Result<Invalidation, Error> {
        let key = self.bytes.key(&key.into_key());
        self.bytes.invalidate(vec![Ok(key)]).await.map(Invalidation::applied)
    }

    /// Removes all entries whose identifier matches a glob pattern, such as `list:*`.
    ///
    /// The pattern must begin with a literal character. Escape user input with
    /// [`Pattern::escape`]. A comma separates the elements of a tuple: `acme,*` matches
    /// `("acme", 42)`. Parameters are no part of an identifier: for all entries of `list`, whatever
    /// their [parameters](Entry::params), use a [tag](Entry::tags). The text of identifiers that
    /// were hashed, because their key would exceed 512 bytes, is not matched. `?` and negated
    /// classes are rejected, except in fastapi-rc's layout.
    ///
    /// Scans all keys of the server twice, 1,000 at a time: prefer [`Cache::invalidate`] if
    /// you know the keys.
    ///
    /// [`Pattern::escape`]: crate::Pattern::escape
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Key`] if the pattern could match every key, and
    /// an error if the backend fails; some entries may then still exist.
    ///
    /// [`ErrorKind::Key`]: crate::ErrorKind::Key
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
    pub async fn invalidate_pattern(&self, pattern: &str) -> Result<Invalidation, Error> {
        self.bytes.invalidate_pattern(Ok(pattern), false).await.map(Invalidation::applied)
    }

    /// Invalidates all entries that carry a tag, in all caches of the same prefix, and revokes
    /// every load of them in flight.
    ///
    /// Costs one round trip regardless of the number of entries. They remain stored until they
    /// expire, and are misses. `removed` is 0.
    ///
    /// # Errors
    /// Returns an error of kind [`Key`](crate::ErrorKind::Key) if the name is empty, and an
    /// error if the backend fails; the entries may then still be hits.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
    pub async fn invalidate_tag(&self, name: &str) -> Result<Invalidation, Error> {
        self.bytes.invalidate_tags([Ok(name)]).await.map(|()| Invalidation::applied(0))
    }

    /// Removes all entries of this cache.
    ///
    /// With [`epoch`](CacheBuilder::epoch) this costs one round trip regardless of their
    /// number, and `removed` is 0. Without it, all keys of the server are scanned. In
    /// fastapi-rc's layout, entries are found by the prefix of their keys alone: `users` also
    /// removes those of a cache `users:archive` of the same prefix and version.
    ///
    /// # Errors
    /// Returns an error if the backend fails; some entries may then still exist.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
    #[doc(alias = "clear")]
    pub async fn invalidate_all(&self) -> Result<Invalidation, Error> {
        self.bytes.invalidate_all().await.map(Invalidation::applied)
    }

    /// Returns the exact key of an entry in the backend.
    #[must_use]
    pub fn wire_key(&self, key: impl IntoKey) -> WireKey {
        self.bytes.wire_key(&key.into_key())
    }

    /// Returns an [`Entry`] for a key, to make a call with its own options.
    pub fn entry<'a>(&'a self, key: impl IntoKey + 'a) -> Entry<'a, T> {
        Entry::new(self, key.into_key())
    }

    /// Returns the counters of this cache in this process.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.bytes.stats()
    }
}

/// Downcasts a decoded value to the cache's type; `None` for a negative.
fn present<T: CacheValue>(value: Value) -> Option<Arc<T>> {
    match value {
        Value::Present(value) => Some(of_its_type(value)),
        Value::Absent => None,
    }
}

/// Downcasts a value or error that callers of one flight share.
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
