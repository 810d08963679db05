//! Calls with options of their own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::tag::Tags;
use hotshelf_core::{Error, Key, Ttl, WireKey};
use serde::Serialize;

use super::load::{LoadOptions, Mode, infallible};
use super::{Cache, CacheValue, FillTicket, Written};
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
    cache: &'a Cache<T>,
    key: Key<'a>,
    ttl: Result<Ttl, Error>,
    tags: Result<Tags, Error>,
    mode: Mode,
}

impl<'a, T: CacheValue> Entry<'a, T> {
    pub(super) fn new(cache: &'a Cache<T>, key: Key<'a>) -> Self {
        let ttl = Ok(cache.inner.options.ttl);
        Self { cache, key, ttl, tags: Ok(cache.inner.tags.clone()), mode: Mode::Use }
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
    /// A lifetime of zero stores nothing: a load gives its value uncached, and counts it;
    /// [`Entry::try_insert`] reports it.
    #[doc(alias = "ttl")]
    pub fn time_to_live(self, duration: Duration) -> Self {
        Self { ttl: Ttl::new(duration), ..self }
    }

    /// Sets the tags that the entry carries; an entry with other tags is a miss.
    ///
    /// [`Store::invalidate_tag`](crate::Store::invalidate_tag) invalidates all entries with
    /// a tag, in one round trip. Reading and loading cost no round trip more; each tag adds
    /// 64 bytes to the entry. At most 32 tags.
    ///
    /// With tags that are none (an empty name, too many, a cache of plain entries), a load
    /// gives its value uncached, and counts it; [`Entry::try_insert`] reports it.
    pub fn tags<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
        let tags = self.cache.tags_with(names);
        Self { tags, ..self }
    }

    /// Lets this call load and store, whatever is cached. It takes no value of a loader
    /// that began before the call.
    pub fn reload(self) -> Self {
        Self { mode: Mode::Reload, ..self }
    }

    /// Lets this call run its loader, and neither read nor store.
    pub fn bypass(self) -> Self {
        Self { mode: Mode::Bypass, ..self }
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
        let cache = self.cache;
        let (target, options) = self.into_target(false);
        let loaded = cache.load(target, options, async || load().await.map(Some)).await;
        loaded.map(|value| value.expect("a call that takes no negative is given a value"))
    }

    /// Reads the value, or loads it by a loader that may find that there is none.
    ///
    /// The loader is given the value that it is to replace, where a cache keeps one; none
    /// does so yet. That there is no value is kept for the cache's
    /// [`negative_ttl`](super::CacheBuilder::negative_ttl), and not in the place of an entry
    /// that belongs to another cache or a plain client. With [`reload`](Self::reload) that
    /// costs a round trip more, since the key hadn't been read. What a plain client writes
    /// between the read of the key and the store is replaced all the same.
    ///
    /// # Errors
    /// The loader's own, which the callers that waited for it share.
    ///
    /// # Cancel safety
    /// As [`Cache::get_or_try_insert_with`].
    pub async fn or_try_load_optional<F, E>(self, load: F) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        F: AsyncFnOnce(Option<Arc<T>>) -> Result<Option<T>, E>,
        E: Send + Sync + 'static,
    {
        let cache = self.cache;
        let (target, options) = self.into_target(true);
        cache.load(target, options, async || load(None).await).await
    }

    /// Writes the value; see [`Cache::insert`].
    ///
    /// # Cancel safety
    /// As [`Cache::insert`].
    pub async fn insert(self, value: impl Into<Arc<T>>) {
        let _counted = self.try_insert(value).await;
    }

    /// Writes the value and reports trouble; see [`Cache::try_insert`].
    ///
    /// # Errors
    /// As [`Cache::try_insert`], and of kind
    /// [`Configuration`](crate::ErrorKind::Configuration) for a lifetime of zero.
    ///
    /// # Cancel safety
    /// As [`Cache::insert`].
    pub async fn try_insert(self, value: impl Into<Arc<T>>) -> Result<(), Error> {
        let ttl = self.cache.counted(self.ttl)?;
        let tags = self.cache.counted(self.tags)?;
        self.cache.insert_for(self.cache.wire_key(&self.key), &value.into(), tags, ttl).await
    }

    /// Writes to the source of truth, and stores what was written, with the tags and the
    /// lifetime of this call; see [`Cache::write_through`].
    ///
    /// With tags or a lifetime that are none, the key is invalidated once `write` has
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
        let key = self.cache.wire_key(&self.key);
        let tags_and_ttl = self.tags.and_then(|tags| Ok((tags, self.ttl?)));
        self.cache.write_through_for(key, tags_and_ttl, write).await
    }

    /// Asks for the right to fill the key by hand, with the tags and the lifetime of this
    /// call; see [`Cache::ticket`].
    ///
    /// # Errors
    /// As [`Cache::ticket`], and of kind [`Key`](crate::ErrorKind::Key) or
    /// [`Configuration`](crate::ErrorKind::Configuration) for tags or a lifetime that are
    /// none.
    ///
    /// # Cancel safety
    /// As [`Cache::ticket`].
    pub async fn ticket(self) -> Result<FillTicket<T>, Error> {
        let key = self.cache.counted(self.cache.wire_key(&self.key))?;
        let ttl = self.cache.counted(self.ttl)?;
        let tags = self.cache.counted(self.tags)?;
        Ok(self.cache.ticket_for(key, tags, ttl).await)
    }

    /// Gives the key, with the tags of its entry, and how to load it.
    fn into_target(self, takes_absent: bool) -> (Result<(WireKey, Tags), Error>, LoadOptions) {
        let key = self.cache.wire_key(&self.key);
        // Without its tags an entry could not be invalidated: better none at all.
        let target = key.and_then(|key| Ok((key, self.tags?)));
        (target, LoadOptions { ttl: self.ttl, mode: self.mode, takes_absent })
    }
}
