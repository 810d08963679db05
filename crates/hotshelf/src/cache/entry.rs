//! Calls with their own options.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::cache::{CallOptions, Explanation, Mode, NegativeTtl, Trace};
use hotshelf_core::near::ConsistencyToken;
use hotshelf_core::{Error, Key, Remaining};
use serde::Serialize;

use super::context::LoadContext;
use super::load::{infallible, value};
use super::{Cache, CacheValue, FillTicket, Lookup, Written};
use crate::invalidation::Invalidation;
use crate::load_error::LoadError;

/// A key of a cache, and the options of one call. Created by [`Cache::entry`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// let pages = hotshelf::Store::memory().cache::<Vec<u32>>("pages").build()?;
/// #[derive(serde::Serialize)]
/// struct Query { page: u32 }
///
/// let query = Query { page: 2 };
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

    /// Adds parameters to the key, such as the query of a request: a struct or a map. In a list
    /// of pairs the order matters.
    ///
    /// An invalidation of the identifier leaves the entries with parameters: give those that
    /// change together a [tag](Self::tags).
    ///
    /// # Errors
    /// Returns an error if the parameters cannot be part of a key; see [`Key::with_params`].
    pub fn params<P: Serialize + ?Sized>(self, params: &P) -> Result<Self, Error> {
        Ok(Self { key: self.key.with_params(params)?, ..self })
    }

    /// Sets the entry's time to live. Default: the cache's `time_to_live`.
    ///
    /// With a lifetime of zero nothing is stored. A load returns its value and counts the
    /// error; [`Entry::fallible`] reports it for inserts.
    #[doc(alias = "ttl")]
    pub fn time_to_live(self, duration: Duration) -> Self {
        Self { options: self.options.time_to_live(Ok(duration)), ..self }
    }

    /// Sets for how long it is known that there is no value. Default: the cache's
    /// [`negative_ttl`](super::CacheBuilder::negative_ttl).
    ///
    /// With a lifetime of zero no negative is stored.
    pub fn negative_ttl(self, duration: Duration) -> Self {
        let negative = match duration.is_zero() {
            true => NegativeTtl::Off,
            false => NegativeTtl::For(duration),
        };
        Self { options: self.options.negative_ttl(Ok(negative)), ..self }
    }

    /// Adds tags to those of [the cache](super::CacheBuilder::tags). An entry with other tags
    /// is a miss for this call.
    ///
    /// [`Store::invalidate_tag`](crate::Store::invalidate_tag) invalidates all entries with a
    /// tag in one round trip. Tags cost no additional round trip when reading or loading; each
    /// adds 48 bytes to the entry. An entry has at most 128 tags.
    ///
    /// Name the same tags in every call for a key: calls with different tags turn each other's
    /// entries into misses. Such misses are counted in
    /// [`CacheStats::other_tags`](crate::CacheStats::other_tags) and logged once.
    ///
    /// If the tags are invalid (an empty name, too many tags, or a cache of plain entries), a
    /// load returns its value without storing it and counts the error; for other calls
    /// [`Entry::fallible`] reports it.
    pub fn tags<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
        Self { options: self.options.tags(Ok(names)), ..self }
    }

    /// Loads and stores the value even if it is cached. The call doesn't join a load that
    /// began before it.
    pub fn reload(self) -> Self {
        Self { options: self.options.mode(Mode::Reload), ..self }
    }

    /// Makes this call run its loader, and neither read nor store. It has no effect on inserts,
    /// writes and tickets.
    pub fn bypass(self) -> Self {
        Self { options: self.options.mode(Mode::Bypass), ..self }
    }

    /// Makes the call reflect the changes that a
    /// [token](crate::Store::consistency_token) stands for, or none: the near tier answers it
    /// only with what was read after the token was first presented to this process. Of several
    /// tokens of one client, the last is enough. A new token bypasses the near tier once.
    ///
    /// Costs a round trip the first time. A process remembers 10,000 tokens.
    pub fn after(self, token: impl Into<Option<ConsistencyToken>>) -> Self {
        Self { options: self.options.after(token.into()), ..self }
    }

    /// Collects where the value of the call comes from, how old it is, and why it was loaded.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), hotshelf::Error> {
    /// use hotshelf::{Source, Trace};
    ///
    /// let prices = hotshelf::Store::memory().cache::<u32>("prices").build()?;
    /// let trace = Trace::default();
    /// prices.entry("lamp").traced(&trace).or_insert_with(async || 5).await;
    /// assert_eq!(trace.outcome().source, Source::Loader);
    /// assert_eq!(trace.outcome().to_string(), "loaded; there is no entry");
    /// # Ok(())
    /// # }
    /// ```
    pub fn traced(self, trace: &Trace) -> Self {
        Self { options: self.options.traced(trace.clone()), ..self }
    }

    /// Passes the tags of the call's value to the load that it is a part of: a value that is made of
    /// cached ones is then invalidated with each of them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = hotshelf::Store::memory();
    /// let prices = store.cache::<u32>("prices").build()?;
    /// let pages = store.cache::<String>("pages").build()?;
    /// let page = pages.entry("start").or_load(async |context| {
    ///     let price = prices.entry(7).tags(["price:7"]).tags_into(&context);
    ///     let price = price.or_insert_with(async || 5).await;
    ///     Ok::<_, std::io::Error>(format!("The lamp costs {price}."))
    /// });
    /// assert_eq!(*page.await?, "The lamp costs 5.");
    /// store.invalidate_tag("price:7").await?;
    /// assert_eq!(pages.get("start").await, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The tags are recorded as the value's entry carries them, so that an invalidation during the
    /// load counts, and one that the near tier hasn't heard of yet. A token that the outer call
    /// presents ([`after`](Self::after)) is presented by this one, too. The invalidation of the
    /// value's key is not passed on. Both caches have to be of one store and prefix.
    ///
    /// If the value has no entry (its load is not stored, or it was served instead of an error), or
    /// if its tag is invalidated during the load, the outer value is not stored. Applies to
    /// [`get`](Self::get), [`lookup`](Self::lookup) and the methods that load.
    ///
    /// Costs what [`LoadContext::tags`] costs; where another call has loaded the value, one more
    /// round trip.
    pub fn tags_into<U>(self, context: &LoadContext<U>) -> Self {
        Self { options: self.options.pass_tags_into(context.inherited.clone()), ..self }
    }

    /// Returns what is known of the key, and what this call would find; see [`Cache::explain`].
    ///
    /// # Errors
    /// Same as [`Cache::explain`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn explain(self) -> Result<Explanation, Error> {
        self.cache.bytes.explain(Ok(self.cache.bytes.key(&self.key)), &self.options).await
    }

    /// Returns the value; see [`Cache::get`]. An entry whose tags differ from those of this
    /// call is a miss, and so is any entry after [`reload`](Self::reload) or
    /// [`bypass`](Self::bypass).
    ///
    /// Costs one round trip.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn get(self) -> Option<Arc<T>> {
        self.lookup().await.present()
    }

    /// Returns the cached value or negative. Otherwise like [`Entry::get`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn lookup(self) -> Lookup<T> {
        // The error was counted where it arose.
        self.fallible().lookup().await.unwrap_or(Lookup::Missing)
    }

    /// Returns `true` if the key has a value. Otherwise like [`Entry::get`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn contains_key(self) -> bool {
        self.get().await.is_some()
    }

    /// Returns the remaining lifetime of the entry; see [`Cache::remaining`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn remaining(self) -> Remaining {
        self.fallible().remaining().await.unwrap_or(Remaining::Missing)
    }

    /// Returns the value, or loads it with a loader that cannot fail; see
    /// [`Cache::get_or_insert_with`].
    ///
    /// # Cancel safety
    /// Same as [`Cache::get_or_try_insert_with`].
    pub async fn or_insert_with<F>(self, load: F) -> Arc<T>
    where
        F: AsyncFnOnce() -> T,
    {
        let key = self.cache.bytes.key(&self.key);
        let load = async || Ok::<_, Infallible>(Some(load().await));
        infallible(value(self.cache.load(key, self.options.must_load(true), load).await))
    }

    /// Returns the value, or loads it with a loader that cannot fail, and that returns `None` if
    /// there is no value; see [`or_try_load_optional`](Self::or_try_load_optional).
    ///
    /// # Cancel safety
    /// Same as [`Cache::get_or_try_insert_with`].
    pub async fn or_insert_optional_with<F>(self, load: F) -> Option<Arc<T>>
    where
        F: AsyncFnOnce() -> Option<T>,
    {
        let key = self.cache.bytes.key(&self.key);
        let load = async || Ok::<_, Infallible>(load().await);
        let options = self.options.must_load(true).takes_absent(true);
        infallible(self.cache.load(key, options, load).await)
    }

    /// Returns the value, or loads it; see [`Cache::get_or_try_insert_with`].
    ///
    /// # Errors
    /// Returns the loader's error, which the callers that waited for it share.
    ///
    /// # Cancel safety
    /// Same as [`Cache::get_or_try_insert_with`].
    pub async fn or_try_insert_with<F, E>(self, load: F) -> Result<Arc<T>, LoadError<E>>
    where
        F: AsyncFnOnce() -> Result<T, E>,
        E: Send + Sync + 'static,
    {
        let key = self.cache.bytes.key(&self.key);
        let load = async || load().await.map(Some);
        value(self.cache.load(key, self.options, load).await)
    }

    /// Returns the value, or loads it with a loader that returns `None` if there is no value.
    ///
    /// `None` is cached for the cache's [`negative_ttl`](super::CacheBuilder::negative_ttl),
    /// by default not at all, but never replaces an entry of another cache or of a plain client. To check that,
    /// [`reload`](Self::reload) costs one more round trip. An entry that a plain client writes
    /// between the read of the key and the store is replaced.
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
    /// Returns the loader's error, which the callers that waited for it share.
    ///
    /// # Cancel safety
    /// Same as [`Cache::get_or_try_insert_with`].
    pub async fn or_try_load_optional<F, E>(self, load: F) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        F: AsyncFnOnce() -> Result<Option<T>, E>,
        E: Send + Sync + 'static,
    {
        let key = self.cache.bytes.key(&self.key);
        self.cache.load(key, self.options.takes_absent(true), load).await
    }

    /// Returns the value, or loads it with a loader that is given a [context](LoadContext): it sees
    /// the previous value, and decides about the lifetime and the tags of what it returns.
    ///
    /// The loader may borrow from its environment, and runs in the caller's task. A stale value is
    /// loaded anew by one caller, which waits for it; the others get the stale one.
    /// [`or_refresh_with`](Self::or_refresh_with) loads it in the background.
    ///
    /// # Errors
    /// Returns the loader's error, which the callers that waited for it share, or a limit of the
    /// cache's options.
    ///
    /// # Cancel safety
    /// Same as [`Cache::get_or_try_insert_with`]. After `soft_timeout` or `hard_timeout` the loader
    /// is dropped.
    pub async fn or_load<F, V, E>(self, load: F) -> Result<Arc<T>, LoadError<E>>
    where
        F: AsyncFnOnce(LoadContext<T>) -> Result<V, E>,
        V: Into<Arc<T>>,
        E: Send + Sync + 'static,
    {
        let key = self.cache.bytes.key(&self.key);
        let load = async |context| load(context).await.map(|value| Some(value.into()));
        value(self.cache.load_with(key, self.options, load).await)
    }

    /// Returns the value, or loads it with a loader that returns `None` if there is no value.
    /// Otherwise like [`Entry::or_load`]; see also
    /// [`or_try_load_optional`](Self::or_try_load_optional).
    ///
    /// # Errors
    /// Same as [`Entry::or_load`].
    ///
    /// # Cancel safety
    /// Same as [`Entry::or_load`].
    pub async fn or_load_optional<F, V, E>(self, load: F) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        F: AsyncFnOnce(LoadContext<T>) -> Result<Option<V>, E>,
        V: Into<Arc<T>>,
        E: Send + Sync + 'static,
    {
        let key = self.cache.bytes.key(&self.key);
        let load = async |context| load(context).await.map(|value| value.map(Into::into));
        self.cache.load_with(key, self.options.takes_absent(true), load).await
    }

    /// Returns the value, or loads it with a loader that borrows nothing, and so may run in the
    /// background.
    ///
    /// - A stale value is returned at once. One caller of all processes loads it anew in the
    ///   background: in each process one at a time for a key, 256 in all.
    /// - A load that takes longer than `soft_timeout` or `hard_timeout` goes on in the background,
    ///   and stores its value; the lease keeps others from loading at the same time.
    ///
    /// Otherwise the loader runs in the caller's task, as that of [`Entry::or_load`].
    ///
    /// A loader in the background has no limit: give it timeouts of its own, since its lease is
    /// renewed for as long as it runs. It runs on the runtime of the call, which has to be driven:
    /// one that only runs short calls of `block_on` refreshes nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// # async fn find(_id: u64) -> Result<u32, std::io::Error> { Ok(5) }
    /// let prices = hotshelf::Store::memory()
    ///     .cache::<u32>("prices")
    ///     .time_to_live(Duration::from_secs(60))
    ///     .stale_while_revalidate(Duration::from_secs(600))
    ///     .build()?;
    /// let price = prices.entry(7).or_refresh_with(|_| find(7)).await?;
    /// assert_eq!(*price, 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Same as [`Entry::or_load`]. The error of a load in the background is counted.
    ///
    /// # Cancel safety
    /// Same as [`Cache::get_or_try_insert_with`]. What runs in the background goes on.
    pub async fn or_refresh_with<F, Fut, V, E>(self, load: F) -> Result<Arc<T>, LoadError<E>>
    where
        F: FnOnce(LoadContext<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Arc<T>>,
        E: Send + Sync + 'static,
    {
        let key = self.cache.bytes.key(&self.key);
        let load = |context| {
            let loading = load(context);
            async move { loading.await.map(|value| Some(value.into())) }
        };
        value(self.cache.load_apart(key, self.options, load).await)
    }

    /// Returns the value, or loads it with a loader that returns `None` if there is no value.
    /// Otherwise like [`Entry::or_refresh_with`].
    ///
    /// # Errors
    /// Same as [`Entry::or_load`].
    ///
    /// # Cancel safety
    /// Same as [`Entry::or_refresh_with`].
    pub async fn or_refresh_optional_with<F, Fut, V, E>(
        self,
        load: F,
    ) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        F: FnOnce(LoadContext<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<V>, E>> + Send + 'static,
        V: Into<Arc<T>>,
        E: Send + Sync + 'static,
    {
        let key = self.cache.bytes.key(&self.key);
        let load = |context| {
            let loading = load(context);
            async move { loading.await.map(|value| value.map(Into::into)) }
        };
        self.cache.load_apart(key, self.options.takes_absent(true), load).await
    }

    /// Inserts the value, and returns `true` if it was stored; see [`Cache::insert`].
    ///
    /// # Cancel safety
    /// Same as [`Cache::insert`].
    pub async fn insert(self, value: impl Into<Arc<T>>) -> bool {
        // The error was counted where it arose.
        self.fallible().insert(value).await.unwrap_or(false)
    }

    /// Makes the value stale; see [`Cache::expire`].
    ///
    /// # Errors
    /// Same as [`Cache::expire`].
    ///
    /// # Cancel safety
    /// Same as [`Cache::expire`].
    pub async fn expire(self) -> Result<bool, Error> {
        self.cache.bytes.expire(Ok(self.cache.bytes.key(&self.key))).await
    }

    /// Removes the entry; see [`Cache::invalidate`].
    ///
    /// # Errors
    /// Returns an error if the backend fails; the entry may then still exist.
    ///
    /// # Cancel safety
    /// Same as [`Cache::invalidate`].
    pub async fn invalidate(self) -> Result<Invalidation, Error> {
        self.cache.invalidate(self.key).await
    }

    /// Writes to the source of truth and stores the written value, with the tags and the
    /// lifetime of this call; see [`Cache::write_through`].
    ///
    /// If the tags or the lifetime are invalid, the key is invalidated after `write` has
    /// returned, and [`Written::cached`] reports the error.
    ///
    /// # Errors
    /// Same as [`Cache::write_through`].
    ///
    /// # Cancel safety
    /// Same as [`Cache::write_through`].
    pub async fn write_through<F, E>(self, write: F) -> Result<Written<T>, E>
    where
        F: AsyncFnOnce() -> Result<T, E>,
    {
        let keys = vec![Ok(self.cache.bytes.key(&self.key))];
        self.cache.write_keys(keys, self.options, write, std::slice::from_ref).await
    }

    /// Acquires the right to fill the key manually, with the tags and the lifetime of this
    /// call; see [`Cache::ticket`].
    ///
    /// # Errors
    /// Returns an error of kind [`Key`](crate::ErrorKind::Key) or
    /// [`Configuration`](crate::ErrorKind::Configuration) if the tags or the lifetime are
    /// invalid.
    ///
    /// # Cancel safety
    /// Same as [`Cache::ticket`].
    pub async fn ticket(self) -> Result<FillTicket<T>, Error> {
        let key = self.cache.bytes.key(&self.key);
        Ok(FillTicket::new(self.cache.bytes.ticket(Ok(key), self.options).await?))
    }
}
