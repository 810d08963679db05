//! The options of a cache.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use hotshelf_core::cache::{
    CacheDefinition, CacheOptions, Foreign, NegativeTtl, TagRule, ValueKind,
};
use hotshelf_core::codec::{Codec, Json, erase};
use hotshelf_core::{Error, Jitter, Key, KeyLayout, Namespace};

use super::{Cache, CacheValue};
use crate::store::Store;

/// Builds a [`Cache`]. Created by [`Store::cache`](crate::Store::cache).
///
/// ```
/// # fn main() -> Result<(), hotshelf::Error> {
/// use std::time::Duration;
///
/// let users = hotshelf::Store::memory()
///     .cache::<String>("users")
///     .prefix("shop")
///     .time_to_live(Duration::from_secs(900))
///     .build()?;
/// assert_eq!(users.wire_key(42).as_str(), "shop:v1:users:42");
/// # Ok(())
/// # }
/// ```
///
/// | option | default |
/// | --- | --- |
/// | [`codec`](Self::codec) | [`Json`] |
/// | [`prefix`](Self::prefix) | `cache` |
/// | [`version`](Self::version) | `v1` |
/// | [`key_layout`](Self::key_layout) | [`KeyLayout::Injective`] |
/// | [`time_to_live`](Self::time_to_live) | 300 s |
/// | [`jitter`](Self::jitter) | ±10 % |
/// | [`negative_ttl`](Self::negative_ttl) | off |
/// | [`wait_timeout`](Self::wait_timeout) | 2 s |
/// | [`backend_budget`](Self::backend_budget) | 250 ms |
/// | [`max_waiters`](Self::max_waiters) | 10,000 |
/// | [`max_value_bytes`](Self::max_value_bytes) | 1 MiB |
/// | [`foreign`](Self::foreign) | [`Foreign::Reject`] |
/// | [`strict_plain`](Self::strict_plain) | off |
/// | [`epoch`](Self::epoch) | off |
/// | [`tags`](Self::tags) | none |
/// | [`near`](Self::near) | on, if the store has a near tier |
/// | [`stale_while_revalidate`](Self::stale_while_revalidate) | off |
/// | [`stale_if_error`](Self::stale_if_error) | off |
/// | [`error_throttle`](Self::error_throttle) | 30 s |
/// | [`early_refresh`](Self::early_refresh) | off |
/// | [`soft_timeout`](Self::soft_timeout) | none |
/// | [`hard_timeout`](Self::hard_timeout) | none |
/// | [`error_backoff`](Self::error_backoff) | off |
/// | [`hold`](Self::hold) | off |
/// | [`plain_readers`](Self::plain_readers) | off |
#[must_use = "a builder does nothing before `build`"]
pub struct CacheBuilder<T, C = Json> {
    store: Store,
    namespace: Namespace,
    options: CacheOptions,
    codec: C,
    tags: Option<TagRule>,
    values: PhantomData<fn() -> T>,
}

impl<T: CacheValue> CacheBuilder<T> {
    pub(crate) fn new(store: Store, name: Cow<'static, str>) -> Self {
        let namespace = Namespace::new(name);
        let options = CacheOptions { jitter: store.jitter, ..CacheOptions::default() };
        Self { store, namespace, options, codec: Json, tags: None, values: PhantomData }
    }
}

impl<T: CacheValue, C> CacheBuilder<T, C> {
    /// Sets how values are encoded: [`Raw`] for bytes and text, [`MessagePack`] (feature
    /// `msgpack`), or your own [`Codec`]. Default: [`Json`].
    ///
    /// Entries of another codec are misses: set another [`version`](Self::version), too.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), hotshelf::Error> {
    /// use hotshelf::codec::{Bytes, Raw};
    ///
    /// let images = hotshelf::Store::memory().cache::<Bytes>("images").codec(Raw).build()?;
    /// images.insert("logo", Bytes::from_static(b"\x89PNG")).await;
    /// assert_eq!(images.get("logo").await.as_deref(), Some(&Bytes::from_static(b"\x89PNG")));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`Raw`]: crate::codec::Raw
    /// [`MessagePack`]: crate::codec::MessagePack
    pub fn codec<D: Codec<T>>(self, codec: D) -> CacheBuilder<T, D> {
        let Self { store, namespace, options, tags, values, .. } = self;
        CacheBuilder { store, namespace, options, codec, tags, values }
    }

    /// Sets the first part of keys, usually the application's name. Default: `cache`.
    pub fn prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.namespace = self.namespace.prefix(prefix);
        self
    }

    /// Sets the second part of keys. Change it when the shape of `T` changes. Default: `v1`.
    pub fn version(mut self, version: impl Into<Cow<'static, str>>) -> Self {
        self.namespace = self.namespace.version(version);
        self
    }

    /// Omits the version from keys.
    pub fn without_version(mut self) -> Self {
        self.namespace = self.namespace.without_version();
        self
    }

    /// Sets the layout of keys. Default: [`KeyLayout::Injective`].
    pub fn key_layout(mut self, layout: KeyLayout) -> Self {
        self.namespace = self.namespace.layout(layout);
        self
    }

    /// Sets the time to live of entries, rounded up to whole milliseconds. Default: 300 s.
    #[doc(alias = "ttl")]
    pub fn time_to_live(mut self, duration: Duration) -> Self {
        self.options.time_to_live = duration;
        self
    }

    /// Sets the jitter of lifetimes. Default: ±10 %.
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.options.jitter = jitter;
        self
    }

    /// Sets the time to live of cached negatives: the knowledge that a key has no value.
    /// Default: negatives are not cached.
    pub fn negative_ttl(mut self, duration: Duration) -> Self {
        self.options.negative_ttl = NegativeTtl::For(duration);
        self
    }

    /// Sets how long a call waits for the load of another process before it runs its own
    /// loader, without storing the value. Default: 2 s.
    pub fn wait_timeout(mut self, duration: Duration) -> Self {
        self.options.wait_timeout = duration;
        self
    }

    /// Sets how long a loading call or a ticket waits for the backend in total: for its read,
    /// its lease and its fill. Default: 250 ms.
    ///
    /// In addition, each request has its own deadline, an option of the store. A fill that is
    /// in flight when the budget is spent continues in the background; the caller gets the
    /// loaded value at once. Time spent waiting for the load of another process is not
    /// counted; see [`wait_timeout`](Self::wait_timeout).
    ///
    /// The first read of a call is charged to the budget but only bounded by the store's
    /// `read_timeout`, since a second timer would slow down every hit. Callers that join a
    /// load in this process get the value once its fill has completed.
    pub fn backend_budget(mut self, duration: Duration) -> Self {
        self.options.backend_budget = duration;
        self
    }

    /// Sets how many calls of this process may wait for one load of a key. Further calls run
    /// their own loaders and store nothing, so that a hanging loader cannot collect callers
    /// without bound. Default: 10,000.
    pub fn max_waiters(mut self, waiters: usize) -> Self {
        self.options.max_waiters = waiters;
        self
    }

    /// Sets the maximum size of a stored value, encoded, in bytes. Larger values are returned
    /// to their callers, counted and not stored. Default: 1 MiB.
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.options.max_value_bytes = bytes;
        self
    }

    /// Sets whether untracked entries, which were not written by hotshelf, are hits. Default:
    /// [`Foreign::Reject`], they are misses.
    ///
    /// An untracked entry carries no tags, so that no invalidation by tag would reach it. Even
    /// with [`Foreign::Accept`] it is therefore a miss for calls that name tags, and for all
    /// calls of a cache with an [`epoch`](Self::epoch).
    pub fn foreign(mut self, foreign: Foreign) -> Self {
        self.options.foreign = foreign;
        self
    }

    /// Sets whether entries are written as the bare value, without the trailer of white space
    /// that holds their metadata. Default: off.
    ///
    /// Bare entries carry no tags and cannot be distinguished from those of plain clients:
    /// they are hits whatever the option [`foreign`](Self::foreign). Trailers written by
    /// processes with other options are still read and verified.
    pub fn strict_plain(mut self, plain: bool) -> Self {
        self.options.strict_plain = plain;
        self
    }

    /// Sets whether all entries carry a tag of the cache itself, its epoch, so that
    /// [`Cache::invalidate_all`] costs one round trip regardless of their number. Default:
    /// off, since every read then includes a second key.
    pub fn epoch(mut self, epoch: bool) -> Self {
        self.options.epoch = epoch;
        self
    }

    /// Sets whether entries are kept in the [near tier](crate::StoreBuilder::near) of the store,
    /// if it has one. Default: on.
    pub fn near(mut self, near: bool) -> Self {
        self.options.near = near;
        self
    }

    /// Sets for how long a value is served after its `time_to_live`, while one caller loads it anew:
    /// in the background for [`Entry::or_refresh_with`](super::Entry::or_refresh_with) and
    /// [loading caches](super::Loading), otherwise in one call, which waits for it. Default: off.
    ///
    /// One process refreshes a key at a time. An invalidated value is never served. Reads without
    /// a loader don't get stale values. Costs memory for the longer lifetime, and 16 bytes for each
    /// entry.
    pub fn stale_while_revalidate(mut self, duration: Duration) -> Self {
        self.options.stale_while_revalidate = duration;
        self
    }

    /// Sets for how long after its `time_to_live` a value may be served if its load fails, or takes
    /// longer than [`soft_timeout`](Self::soft_timeout). Default: off.
    ///
    /// The key is read again before a stale value is served instead of an error: one that was
    /// invalidated meanwhile is not. A loader can
    /// [reject stale values](super::LoadContext::reject_stale). The failed load isn't repeated
    /// before [`error_throttle`](Self::error_throttle) has passed.
    pub fn stale_if_error(mut self, duration: Duration) -> Self {
        self.options.stale_if_error = duration;
        self
    }

    /// Sets how long a failed load of a key with a stale value, or of one that is loaded anew before
    /// it ends, isn't repeated, by any process. Default: 30 s.
    pub fn error_throttle(mut self, duration: Duration) -> Self {
        self.options.error_throttle = duration;
        self
    }

    /// Sets how early single callers load a value anew before it ends: the factor beta of XFetch
    /// (Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention",
    /// VLDB 2015). With 1, the optimum, a value that took 100 ms to load is loaded anew some 100 ms
    /// before its end, at random. Larger factors are earlier. Default: 0, off.
    pub fn early_refresh(mut self, beta: f64) -> Self {
        self.options.early_refresh = beta;
        self
    }

    /// Sets how long a call waits for a load, its own or that of another caller, before it is given
    /// the stale value, if there is one. The load goes on in the background if it borrows nothing
    /// ([`Entry::or_refresh_with`](super::Entry::or_refresh_with)), and is dropped otherwise: then a
    /// load that is always slower never replaces the value. For a second later calls don't wait.
    /// Default: none.
    pub fn soft_timeout(mut self, duration: Duration) -> Self {
        self.options.soft_timeout = Some(duration);
        self
    }

    /// Sets how long a call waits for a load, its own or that of another caller, before it fails
    /// with [`LoadError::TimedOut`](crate::LoadError::TimedOut). What becomes of the load is as for
    /// [`soft_timeout`](Self::soft_timeout). It applies to a refresh in the call, too, although there
    /// is a stale value; set `soft_timeout` for that. It doesn't apply to loaders that can't fail.
    /// Default: none.
    pub fn hard_timeout(mut self, duration: Duration) -> Self {
        self.options.hard_timeout = Some(duration);
        self
    }

    /// Sets how long a failed load of a key without a value isn't repeated, by any process: calls
    /// fail with [`LoadError::BackingOff`](crate::LoadError::BackingOff) meanwhile. It doesn't apply
    /// to loaders that can't fail. Default: off.
    pub fn error_backoff(mut self, duration: Duration) -> Self {
        self.options.error_backoff = duration;
        self
    }

    /// Sets for how long a key is loaded and not stored after it was invalidated: for loaders that
    /// read from replicas of the database, whose lag must be shorter. Default: off.
    ///
    /// All processes must set the same. It holds for invalidations by key. A call that loads
    /// meanwhile may get an older value from its own loader.
    pub fn hold(mut self, duration: Duration) -> Self {
        self.options.hold = duration;
        self
    }

    /// Sets that plain clients read the entries: then these must not outlive their freshness, so
    /// that stale windows are an error of [`build`](Self::build). Default: off.
    pub fn plain_readers(mut self, plain_readers: bool) -> Self {
        self.options.plain_readers = plain_readers;
        self
    }

    /// Sets a function that returns the tags of each entry, so that no two calls for one key
    /// can name different tags. [`Entry::tags`](super::Entry::tags) adds to them. Default: no
    /// tags.
    ///
    /// The function runs in every call and should return the same tags for the same key.
    /// [`Key::identifier`] and [`Key::parts`] return what the caller passed. Entries of the cache
    /// must carry these tags, and may carry others. A cache with a function that captures values
    /// can't be built twice on a store: clone it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), hotshelf::Error> {
    /// let store = hotshelf::Store::memory();
    /// let orders = store
    ///     .cache::<u32>("orders")
    ///     .tags(|key| [format!("tenant:{}", key.identifier())])
    ///     .build()?;
    /// orders.insert(("acme", 42), 7).await;
    /// store.invalidate_tag("tenant:acme").await?;
    /// assert_eq!(orders.get(("acme", 42)).await, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tags<I>(mut self, tags: impl Fn(&Key<'_>) -> I + Send + Sync + 'static) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let names = move |key: &Key<'_>| tags(key).into_iter().map(Into::into).collect();
        self.tags = Some(TagRule::new(names));
        self
    }

    /// Builds the cache. Building it again with the same options returns a handle to the same
    /// cache.
    ///
    /// # Errors
    /// Returns an error of kind [`Configuration`](crate::ErrorKind::Configuration) if an
    /// option is invalid, or if the store already has a cache of this name with other options,
    /// another codec or another value type.
    pub fn build(self) -> Result<Cache<T>, Error>
    where
        C: Codec<T>,
    {
        let definition = CacheDefinition {
            namespace: self.namespace,
            kind: ValueKind::of::<T>(),
            options: self.options,
            codec: erase(self.codec),
            tag_rule: self.tags,
        };
        Ok(Cache { bytes: self.store.bytes.cache(definition)?, values: PhantomData })
    }
}

impl<T, C> fmt::Debug for CacheBuilder<T, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("CacheBuilder");
        debug.field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
