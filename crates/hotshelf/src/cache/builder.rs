//! Options of a cache.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::engine::{Foreign, Format};
use hotshelf_core::tag::{TagId, Tags};
use hotshelf_core::{Error, ErrorKind, Jitter, KeyLayout, Namespace, Ttl};

use super::{Cache, CacheValue, Inner};
use crate::store::Store;

/// Options of a [`Cache`], each with its default.
///
/// | option | default |
/// | --- | --- |
/// | [`prefix`](Self::prefix) | `cache` |
/// | [`version`](Self::version) | `v1` |
/// | [`key_layout`](Self::key_layout) | [`KeyLayout::V1`] |
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
#[must_use = "a builder does nothing before `build`"]
pub struct CacheBuilder<T> {
    store: Store,
    namespace: Namespace,
    time_to_live: Duration,
    negative_ttl: Option<Duration>,
    jitter: Jitter,
    wait_timeout: Duration,
    backend_budget: Duration,
    max_waiters: usize,
    max_value_bytes: usize,
    foreign: Foreign,
    strict_plain: bool,
    epoch: bool,
    values: PhantomData<fn() -> T>,
}

/// Options that were checked.
#[derive(Clone, PartialEq)]
pub(crate) struct CacheOptions {
    pub(crate) layout: KeyLayout,
    pub(crate) ttl: Ttl,
    pub(crate) negative_ttl: Option<Ttl>,
    pub(crate) jitter: Jitter,
    pub(crate) wait_timeout: Duration,
    pub(crate) backend_budget: Duration,
    pub(crate) max_waiters: usize,
    pub(crate) max_value_bytes: usize,
    pub(crate) format: Format,
    pub(crate) epoch: bool,
}

impl<T: CacheValue> CacheBuilder<T> {
    pub(crate) fn new(store: Store, name: Cow<'static, str>) -> Self {
        Self {
            store,
            namespace: Namespace::new(name),
            time_to_live: Duration::from_secs(300),
            negative_ttl: None,
            jitter: Jitter::default(),
            wait_timeout: Duration::from_secs(2),
            backend_budget: Duration::from_millis(250),
            max_waiters: 10_000,
            max_value_bytes: 1 << 20,
            foreign: Foreign::Reject,
            strict_plain: false,
            epoch: false,
            values: PhantomData,
        }
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

    /// Sets how keys are written. Default: [`KeyLayout::V1`].
    pub fn key_layout(mut self, layout: KeyLayout) -> Self {
        self.namespace = self.namespace.layout(layout);
        self
    }

    /// Sets how long entries live, in whole milliseconds. Default: 300 s.
    #[doc(alias = "ttl")]
    pub fn time_to_live(mut self, duration: Duration) -> Self {
        self.time_to_live = duration;
        self
    }

    /// Sets how much lifetimes are spread. Default: ±10 %.
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets how long the knowledge is kept that there is no value. Default: it isn't.
    pub fn negative_ttl(mut self, duration: Duration) -> Self {
        self.negative_ttl = Some(duration);
        self
    }

    /// Sets how long a call waits for the load of another process before it loads by
    /// itself, without storing. Default: 2 s.
    pub fn wait_timeout(mut self, duration: Duration) -> Self {
        self.wait_timeout = duration;
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
        self.backend_budget = duration;
        self
    }

    /// Sets how many calls of this process wait for one load of one key. Those beyond load
    /// by themselves, without storing, so that a loader that hangs can't gather callers
    /// without bound. Default: 10,000.
    pub fn max_waiters(mut self, waiters: usize) -> Self {
        self.max_waiters = waiters;
        self
    }

    /// Sets the longest value that is stored, in bytes of JSON. Longer ones are given to
    /// their callers and counted. Default: 1 MiB.
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// Sets what an entry is worth that a plain client has written. Default:
    /// [`Foreign::Reject`], a miss.
    ///
    /// Such an entry carries no tags. Even where it is accepted it is a miss to calls that
    /// name tags, and to all calls of a cache with an [`epoch`](Self::epoch), or it would
    /// outlive every invalidation by a tag.
    pub fn foreign(mut self, foreign: Foreign) -> Self {
        self.foreign = foreign;
        self
    }

    /// Sets whether entries are the bare JSON, without the white space behind it that holds
    /// what the cache knows of them. Default: they are not.
    ///
    /// Such entries carry no tags, and can't be told from those of plain clients, whatever
    /// [`foreign`](Self::foreign) says. Entries that have the white space, of processes
    /// built otherwise, are judged by it.
    pub fn strict_plain(mut self, plain: bool) -> Self {
        self.strict_plain = plain;
        self
    }

    /// Sets whether all entries carry a tag of the cache's own, so that
    /// [`Cache::invalidate_all`] is one round trip, however many there are. Default: they
    /// don't, since it adds a second key to every read.
    pub fn epoch(mut self, epoch: bool) -> Self {
        self.epoch = epoch;
        self
    }

    /// Makes the cache. Built again with the same options it is the same cache.
    ///
    /// # Errors
    /// Of kind [`Configuration`](crate::ErrorKind::Configuration) for a lifetime of zero,
    /// or if the cache was built with other options before; of kind
    /// [`Key`](crate::ErrorKind::Key) for a name that layout v2 rejects.
    pub fn build(self) -> Result<Cache<T>, Error> {
        let options = CacheOptions {
            layout: self.namespace.layout_in_use(),
            ttl: Ttl::new(self.time_to_live)?,
            negative_ttl: self.negative_ttl.map(Ttl::new).transpose()?,
            jitter: self.jitter,
            wait_timeout: self.wait_timeout,
            backend_budget: self.backend_budget,
            max_waiters: self.max_waiters,
            max_value_bytes: self.max_value_bytes,
            format: if self.strict_plain { Format::Plain } else { Format::Trailer(self.foreign) },
            epoch: self.epoch,
        };
        if options.epoch && options.format == Format::Plain {
            let message = "plain entries carry no epoch: leave `epoch` or `strict_plain` out";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        let (store, namespace) = (self.store, self.namespace);
        let inner =
            store.registry.get_or_build::<T, _>(&namespace, &options, |number, stats| {
                Ok(Arc::new(Inner {
                    shared: Arc::clone(&store.shared),
                    number,
                    stem: namespace.stem()?,
                    tags: options.tags(&namespace)?,
                    namespace: namespace.clone(),
                    options: options.clone(),
                    stats,
                }))
            })?;
        Ok(Cache { inner, values: PhantomData })
    }
}

impl CacheOptions {
    /// Gives the tags that all entries of the cache carry: its epoch, or none.
    fn tags(&self, namespace: &Namespace) -> Result<Tags, Error> {
        let none = Tags::none(namespace.prefix_name().into());
        if !self.epoch {
            return Ok(none);
        }
        none.with([TagId::of_epoch(&namespace.stem()?)])
    }

    /// Gives a time that no entry outlives: lifetimes are spread by their own length at most.
    pub(crate) fn keep(&self, ttl: Ttl) -> Ttl {
        let longest = ttl.max(self.negative_ttl.unwrap_or(ttl)).as_duration();
        Ttl::new(longest * 2).unwrap_or(Ttl::MAX)
    }
}

impl fmt::Debug for CacheOptions {
    /// Shows the options as they are written in the builder.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("options");
        debug.field("key_layout", &self.layout);
        debug.field("time_to_live", &self.ttl.as_duration());
        debug.field("negative_ttl", &self.negative_ttl.map(Ttl::as_duration));
        debug.field("jitter", &self.jitter);
        debug.field("wait_timeout", &self.wait_timeout);
        debug.field("backend_budget", &self.backend_budget);
        debug.field("max_waiters", &self.max_waiters);
        debug.field("max_value_bytes", &self.max_value_bytes);
        debug.field("format", &self.format).field("epoch", &self.epoch).finish()
    }
}

impl<T> fmt::Debug for CacheBuilder<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("CacheBuilder");
        debug.field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
