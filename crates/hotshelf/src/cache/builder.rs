//! Options of a cache.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::cache::{
    CacheDefinition, CacheOptions, Foreign, NegativeTtl, TagRule, ValueKind,
};
use hotshelf_core::codec::Json;
use hotshelf_core::{Error, Jitter, Key, KeyLayout, Namespace};

use super::{Cache, CacheValue};
use crate::store::Store;

/// Options of a [`Cache`], each with its default.
///
/// | option | default |
/// | --- | --- |
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
#[must_use = "a builder does nothing before `build`"]
pub struct CacheBuilder<T> {
    store: Store,
    namespace: Namespace,
    options: CacheOptions,
    tags: Option<TagRule>,
    values: PhantomData<fn() -> T>,
}

impl<T: CacheValue> CacheBuilder<T> {
    pub(crate) fn new(store: Store, name: Cow<'static, str>) -> Self {
        let namespace = Namespace::new(name);
        let options = CacheOptions { jitter: store.jitter, ..CacheOptions::default() };
        Self { store, namespace, options, tags: None, values: PhantomData }
    }

    /// Sets the first part of keys, usually the application's name. Default: `cache`.
    pub fn prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.namespace = self.namespace.prefix(prefix);
        self
    }

    /// Sets the second part of keys; change it when `T` changes its shape. Default: `v1`.
    pub fn version(mut self, version: impl Into<Cow<'static, str>>) -> Self {
        self.namespace = self.namespace.version(version);
        self
    }

    /// Leaves the version out of keys.
    pub fn without_version(mut self) -> Self {
        self.namespace = self.namespace.without_version();
        self
    }

    /// Sets how keys are written. Default: [`KeyLayout::Injective`].
    pub fn key_layout(mut self, layout: KeyLayout) -> Self {
        self.namespace = self.namespace.layout(layout);
        self
    }

    /// Sets how long entries live, in whole milliseconds. Default: 300 s.
    #[doc(alias = "ttl")]
    pub fn time_to_live(mut self, duration: Duration) -> Self {
        self.options.time_to_live = duration;
        self
    }

    /// Sets how much lifetimes are spread. Default: ±10 %.
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.options.jitter = jitter;
        self
    }

    /// Sets how long the knowledge is kept that there is no value. Default: it isn't kept.
    pub fn negative_ttl(mut self, duration: Duration) -> Self {
        self.options.negative_ttl = NegativeTtl::For(duration);
        self
    }

    /// Sets how long a call waits for the load of another process before it loads by
    /// itself, without storing. Default: 2 s.
    pub fn wait_timeout(mut self, duration: Duration) -> Self {
        self.options.wait_timeout = duration;
        self
    }

    /// Sets how long a loading call, or a ticket, waits for the backend in all, over its read,
    /// its lease and its fill. Default: 250 ms.
    ///
    /// Each request has a deadline of its own beside it, which the store's options set. A
    /// fill that is under way when the time is over goes on in the background; what was
    /// loaded is given to its caller at once. Waiting for the load of another process is
    /// not counted: see [`wait_timeout`](Self::wait_timeout).
    ///
    /// The read that each call begins with takes its time off, and is itself bounded by the
    /// store's `read_timeout` alone: a timer of its own would cost each hit. Callers that
    /// wait for one of this process to load are given the value when its fill has ended.
    pub fn backend_budget(mut self, duration: Duration) -> Self {
        self.options.backend_budget = duration;
        self
    }

    /// Sets how many calls of this process wait for one load of one key. Those beyond load
    /// by themselves, without storing, so that a loader that hangs can't gather callers
    /// without bound. Default: 10,000.
    pub fn max_waiters(mut self, waiters: usize) -> Self {
        self.options.max_waiters = waiters;
        self
    }

    /// Sets the longest value that is stored, in bytes of JSON. Longer ones are given to
    /// their callers and counted. Default: 1 MiB.
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.options.max_value_bytes = bytes;
        self
    }

    /// Sets how untracked entries are treated: those that were not written by hotshelf.
    /// Default: [`Foreign::Reject`], they are misses.
    ///
    /// Such an entry carries no tags. Even where it is accepted it is a miss to calls that
    /// name tags, and to all calls of a cache with an [`epoch`](Self::epoch), or it would
    /// outlive every invalidation by a tag.
    pub fn foreign(mut self, foreign: Foreign) -> Self {
        self.options.foreign = foreign;
        self
    }

    /// Sets whether entries are the bare JSON, without the white space behind it that holds
    /// what the cache knows of them. Default: they are not.
    ///
    /// Such entries carry no tags, and can't be told from those of plain clients, whatever
    /// [`foreign`](Self::foreign) says. Entries that have the white space, of processes
    /// built otherwise, are judged by it.
    pub fn strict_plain(mut self, plain: bool) -> Self {
        self.options.strict_plain = plain;
        self
    }

    /// Sets whether all entries carry a tag of the cache's own, so that
    /// [`Cache::invalidate_all`] is one round trip, however many there are. Default: they
    /// don't, since it adds a second key to every read.
    pub fn epoch(mut self, epoch: bool) -> Self {
        self.options.epoch = epoch;
        self
    }

    /// Sets the tags that each entry carries by its key, so that no two calls for one key can
    /// name different ones. [`Entry::tags`](super::Entry::tags) adds to them. Default: none.
    ///
    /// The function runs in every call; it should return the same tags for the same key.
    /// [`Key::identifier`] and [`Key::parts`] show what the caller passed.
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

    /// Builds the cache. Built again with the same options it is the same cache.
    ///
    /// # Errors
    /// Of kind [`Configuration`](crate::ErrorKind::Configuration) for an invalid option, or if
    /// the store has a cache of the same name with other options or another type of values.
    pub fn build(self) -> Result<Cache<T>, Error> {
        let definition = CacheDefinition {
            namespace: self.namespace,
            kind: ValueKind::of::<T>(),
            options: self.options,
            codec: Arc::new(Json::<T>::default()),
            tag_rule: self.tags,
        };
        Ok(Cache { bytes: self.store.bytes.cache(definition)?, values: PhantomData })
    }
}

impl<T> fmt::Debug for CacheBuilder<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("CacheBuilder");
        debug.field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
