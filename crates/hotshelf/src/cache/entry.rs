//! Calls with options of their own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::cache::{CallOptions, Mode};
use hotshelf_core::{Error, Key, Remaining};
use serde::Serialize;

use super::load::infallible;
use super::{Cache, CacheValue, FillTicket, Lookup, Written};
use crate::invalidation::Invalidation;
use crate::load_error::LoadError;

/// One key of a cache, and the options of one call.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// let pages = hotshelf::Store::memory().cache::<Vec<u32>>("pages").build()?;
/// let query = [("page", 2)];
/// let page = pages
///     .entry("list")
///     .params(&query)?
///     .time_to_live(Duration::from_secs(180))
///     .or_insert_with(async || vec![21, 22])
///     .await;
/// assert_eq!(*page, [21, 22]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "an entry does nothing by itself"]
pub struct Entry<'a, T> {
    pub(super) cache: &'a Cache<T>,
    pub(super) key: Key<'a>,
    pub(super) options: CallOptions,
}

impl<'a, T: CacheValue> Entry<'a, T> {
    pub(super) fn new(cache: &'a Cache<T>, key: Key<'a>) -> Self {
        Self { cache, key, options: CallOptions::default() }
    }

    /// Adds parameters to the key, say the query of a request.
    ///
    /// # Errors
    /// As [`Key::with_params`].
    pub fn params<P: Serialize + ?Sized>(self, params: &P) -> Result<Self, Error> {
        Ok(Self { key: self.key.with_params(params)?, ..self })
    }

    /// Sets how long the entry lives. Default: the cache's `time_to_live`.
    ///
    /// A lifetime of zero stores nothing: a load returns its value uncached, and counts it;
    /// [`Entry::fallible`] reports it for an insert.
    #[doc(alias = "ttl")]
    pub fn time_to_live(self, duration: Duration) -> Self {
        Self { options: self.options.time_to_live(Ok(duration)), ..self }
    }

    /// Sets the tags that the entry carries beside those of [the cache](super::CacheBuilder::tags);
    /// an entry with other tags is a miss.
    ///
    /// [`Store::invalidate_tag`](crate::Store::invalidate_tag) invalidates all entries with
    /// a tag, in one round trip. Reading and loading cost no round trip more; each tag adds
    /// 48 bytes to the entry. At most 32 tags.
    ///
    /// All calls for one key have to name the same tags, or they keep each other from hitting:
    /// that is counted in [`CacheStats::other_tags`](crate::CacheStats::other_tags), and logged
    /// once.
    ///
    /// With invalid tags (an empty name, too many, a cache of plain entries), a load returns
    /// its value uncached, and counts it; [`Entry::fallible`] reports it for other calls.
    pub fn tags<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
        Self { options: self.options.tags(Ok(names)), ..self }
    }

    /// Makes this call load and store, whatever is cached. It takes no value of a loader
    /// that began before the call.
    pub fn reload(self) -> Self {
        Self { options: self.options.mode(Mode::Reload), ..self }
    }

    /// Makes this call run its loader, and neither read nor store.
    pub fn bypass(self) -> Self {
        Self { options: self.options.mode(Mode::Bypass), ..self }
    }

    /// Reads the value; see [`Cache::get`]. An entry with other tags than those of this call
    /// is a miss, and so is any entry after [`reload`](Self::reload) or
    /// [`bypass`](Self::bypass).
    ///
    /// Costs one round trip.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn get(self) -> Option<Arc<T>> {
        self.lookup().await.present()
    }

    /// Reads what is known of the key, a cached negative included; as [`Entry::get`] in all
    /// else.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn lookup(self) -> Lookup<T> {
        // The error was counted where it arose.
        self.fallible().lookup().await.unwrap_or(Lookup::Missing)
    }

    /// Reports whether the key has a value; as [`Entry::get`] in all else.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn contains_key(self) -> bool {
        self.get().await.is_some()
    }

    /// Returns how long the entry still lives; see [`Cache::remaining`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn remaining(self) -> Remaining {
        self.fallible().remaining().await.unwrap_or(Remaining::Missing)
    }

    /// Reads the value, or loads it by a loader that can't fail.
    ///
    /// # Cancel safety
    /// As [`Cache::get_or_try_insert_with`].
    pub async fn or_insert_with<F>(self, load: F) -> Arc<T>
    where
        F: AsyncFnOnce() -> T,
    {
        infallible(self.or_try_insert_with(async || Ok::<T, Infallible>(load().await)).await)
    }

    /// Reads the value, or loads it; see [`Cache::get_or_try_insert_with`].
    ///
    /// # Errors
    /// The loader's own, which the callers that waited for it share.
    ///
    /// # Cancel safety
    /// As [`Cache::get_or_try_insert_with`].
    pub async fn or_try_insert_with<F, E>(self, load: F) -> Result<Arc<T>, LoadError<E>>
    where
        F: AsyncFnOnce() -> Result<T, E>,
        E: Send + Sync + 'static,
    {
        let key = self.cache.bytes.key(&self.key);
        let load = async || load().await.map(Some);
        let loaded = self.cache.load(key, self.options, load).await;
        loaded.map(|value| value.expect("a call that takes no negative is given a value"))
    }

    /// Reads the value, or loads it by a loader that may find that there is none.
    ///
    /// That there is no value is kept for the cache's
    /// [`negative_ttl`](super::CacheBuilder::negative_ttl), and not in the place of an entry
    /// that belongs to another cache or a plain client. With [`reload`](Self::reload) that
    /// costs a round trip more, since the key hadn't been read. What a plain client writes
    /// between the read of the key and the store is replaced all the same.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// # async fn find(_id: u64) -> Result<Option<String>, std::io::Error> { Ok(None) }
    /// let store = hotshelf::Store::memory();
    /// let users = store.cache::<String>("users").negative_ttl(Duration::from_secs(30)).build()?;
    /// let user = users.entry(7).or_try_load_optional(async || find(7).await).await?;
    /// assert_eq!(user, None);
    /// assert_eq!(users.lookup(7).await, hotshelf::Lookup::Absent);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The loader's own, which the callers that waited for it share.
    ///
    /// # Cancel safety
    /// As [`Cache::get_or_try_insert_with`].
    pub async fn or_try_load_optional<F, E>(self, load: F) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        F: AsyncFnOnce() -> Result<Option<T>, E>,
        E: Send + Sync + 'static,
    {
        let key = self.cache.bytes.key(&self.key);
        self.cache.load(key, self.options.takes_absent(true), load).await
    }

    /// Writes the value, and returns whether it is stored; see [`Cache::insert`].
    ///
    /// # Cancel safety
    /// As [`Cache::insert`].
    pub async fn insert(self, value: impl Into<Arc<T>>) -> bool {
        // The error was counted where it arose.
        self.fallible().insert(value).await.unwrap_or(false)
    }

    /// Removes the entry; see [`Cache::invalidate`].
    ///
    /// # Errors
    /// The backend's own: then the entry may still be there.
    ///
    /// # Cancel safety
    /// As [`Cache::invalidate`].
    pub async fn invalidate(self) -> Result<Invalidation, Error> {
        self.cache.invalidate(self.key).await
    }

    /// Writes to the source of truth, and stores what was written, with the tags and the
    /// lifetime of this call; see [`Cache::write_through`].
    ///
    /// With invalid tags or an invalid lifetime, the key is invalidated once `write` has
    /// returned, and [`Written::cached`] reports it.
    ///
    /// # Errors
    /// As [`Cache::write_through`].
    ///
    /// # Cancel safety
    /// As [`Cache::write_through`].
    pub async fn write_through<F, E>(self, write: F) -> Result<Written<T>, E>
    where
        F: AsyncFnOnce() -> Result<T, E>,
    {
        let keys = vec![Ok(self.cache.bytes.key(&self.key))];
        self.cache.write_keys(keys, self.options, write, std::slice::from_ref).await
    }

    /// Asks for the right to fill the key by hand, with the tags and the lifetime of this
    /// call; see [`Cache::ticket`].
    ///
    /// # Errors
    /// As [`Cache::ticket`], and of kind [`Key`](crate::ErrorKind::Key) or
    /// [`Configuration`](crate::ErrorKind::Configuration) for invalid tags or an invalid
    /// lifetime.
    ///
    /// # Cancel safety
    /// As [`Cache::ticket`].
    pub async fn ticket(self) -> Result<FillTicket<T>, Error> {
        let key = self.cache.bytes.key(&self.key);
        Ok(FillTicket::new(self.cache.bytes.ticket(Ok(key), self.options).await?))
    }
}
