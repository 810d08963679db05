//! A backend and all caches on it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::ByteCache;
use super::registry::{CacheDefinition, CacheInfo, Registry};
use crate::backend::{Backend, ServerInfo};
use crate::engine::{Engine, LEASE, drain, remove};
use crate::error::{Error, ErrorKind};
use crate::gate::Removal;
use crate::near::{ConsistencyToken, NearOptions, NearTier};
use crate::observe::{EventKind, Events, MemoryUse, NearUse, StoreMetrics};
use crate::runtime::Runtime;
use crate::tag::TagId;

/// A backend and all caches on it. A cheap handle.
#[derive(Clone)]
pub struct ByteStore {
    pub(super) engine: Arc<Engine>,
    pub(super) registry: Arc<Registry>,
}

/// How long closing a store takes at most.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a store could not finish before it was closed, because its backend failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished {
    /// Invalidations: outdated entries may be served until their time to live ends.
    pub invalidations: usize,
    /// Leases: other processes wait for them until they expire.
    pub leases: usize,
}

impl Unfinished {
    /// Returns `true` if everything was finished.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invalidations, leases } = self;
        write!(
            formatter,
            "{invalidations} unfinished invalidations (outdated entries may be served) and \
             {leases} unreleased leases"
        )
    }
}

/// The shortest lease. Shorter ones would expire before a slightly slow server renews them.
const SHORTEST_LEASE: Duration = Duration::from_millis(10);

/// The longest lease. After a crash of its holder, a key cannot be stored for that long.
const LONGEST_LEASE: Duration = Duration::from_secs(3600);

impl ByteStore {
    /// Creates a store with enabled caches, whose leases last for [`LEASE`].
    pub fn new(backend: Arc<dyn Backend>, runtime: Arc<dyn Runtime>) -> Self {
        let engine = Engine::new(backend, runtime, LEASE, None);
        Self { engine, registry: Arc::new(Registry::new(true)) }
    }

    /// Creates a store whose leases last for `lease`, and are renewed every third of it, with a
    /// near tier if there are options for it and the backend can report changes.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Configuration`] if the lease is shorter than 10
    /// ms or longer than an hour, or if the options of the near tier are invalid.
    pub fn with_options(
        backend: Arc<dyn Backend>,
        runtime: Arc<dyn Runtime>,
        lease: Duration,
        near: Option<NearOptions>,
    ) -> Result<Self, Error> {
        near.as_ref().map(NearOptions::validate).transpose()?;
        if !(SHORTEST_LEASE..=LONGEST_LEASE).contains(&lease) {
            let message = format!("invalid lease {lease:?}: use 10 ms to 1 hour, such as 5 s");
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        let engine = Engine::new(backend, runtime, lease, near);
        Ok(Self { engine, registry: Arc::new(Registry::new(true)) })
    }

    /// Returns the same caches, with their counters, on another backend.
    #[must_use]
    pub fn on(&self, backend: Arc<dyn Backend>, runtime: Arc<dyn Runtime>) -> Self {
        let near = self.engine.gate.near().map(|near| *near.options());
        let engine = Engine::new(backend, runtime, self.engine.lease, near);
        Self { engine, registry: Arc::clone(&self.registry) }
    }

    /// Builds a cache. Building it again with the same definition returns the same cache.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Configuration`] if the options are invalid, if
    /// prefix, version and name are too long, or if the cache was built with other options
    /// before.
    pub fn cache(&self, definition: CacheDefinition) -> Result<ByteCache, Error> {
        let context = self.registry.get_or_build(definition, false)?;
        Ok(ByteCache { engine: Arc::clone(&self.engine), context })
    }

    /// Builds a view of a cache, whose options may differ from those of its other views. All
    /// views share flights and counters.
    ///
    /// # Errors
    /// Same as [`ByteStore::cache`], except that options may differ.
    pub fn view(&self, definition: CacheDefinition) -> Result<ByteCache, Error> {
        let context = self.registry.get_or_build(definition, true)?;
        Ok(ByteCache { engine: Arc::clone(&self.engine), context })
    }

    /// Returns a token for the changes of this process that were applied so far; see
    /// [`ConsistencyToken`].
    #[must_use]
    pub fn consistency_token(&self) -> ConsistencyToken {
        ConsistencyToken::random(&*self.engine.runtime)
    }

    /// Returns a cache of [another](ByteStore::on) store on this store's backend.
    #[must_use]
    pub fn attach(&self, cache: &ByteCache) -> ByteCache {
        ByteCache { engine: Arc::clone(&self.engine), context: Arc::clone(&cache.context) }
    }

    /// Returns `true` if the caches are enabled.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.registry.enabled.load(Ordering::Relaxed)
    }

    /// Enables or disables all caches. While they are disabled, loaders run and nothing is
    /// read or stored. Invalidations are still executed, and an insert or a reload removes the
    /// entry that it would have replaced; otherwise outdated entries would reappear when the
    /// caches are enabled again.
    pub fn set_enabled(&self, enabled: bool) {
        if self.registry.enabled.swap(enabled, Ordering::Relaxed) != enabled {
            self.events().add(EventKind::Enabled { enabled });
        }
    }

    /// Invalidates all entries that carry one of these tags, and revokes every load of them in
    /// flight. Costs one round trip.
    ///
    /// Tags belong to the prefix of a cache. The invalidation reaches the prefixes of all
    /// caches that were built on this store, the [declared](super::declare_prefix) ones, and
    /// `prefixes`.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Configuration`] if there is no such prefix.
    /// Returns an error if the backend fails; the entries may then still be hits. Returns the
    /// error of the first invalid name after the others have been invalidated.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
    pub async fn invalidate_tags<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = Result<N, Error>>,
        prefixes: impl IntoIterator<Item = String>,
    ) -> Result<(), Error> {
        let (own, mut others) = self.registry.prefixes();
        others.extend(prefixes.into_iter().filter(|prefix| !own.contains(prefix)));
        if own.is_empty() && others.is_empty() {
            let message =
                "unknown prefix of tags: build a cache that uses them on this store first";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        let mut invalid = Ok(());
        let mut keys = Vec::new();
        for name in names {
            match name.and_then(|name| TagId::of(name.as_ref())) {
                Ok(id) => keys.extend(own.iter().chain(&others).map(|prefix| id.key(prefix))),
                Err(error) => {
                    if !self.registry.logged_tag.swap(true, Ordering::Relaxed) {
                        tracing::error!("invalid tag, nothing is invalidated by it: {error}");
                    }
                    invalid = invalid.and(Err(error));
                }
            }
        }
        if !keys.is_empty() {
            remove(&self.engine, None, Removal::Tags(keys)).await?;
        }
        invalid
    }

    /// Returns the near tier, if there is one.
    #[must_use]
    pub fn near(&self) -> Option<&NearTier> {
        self.engine.gate.near().map(|near| &**near)
    }

    /// Returns the runtime.
    #[must_use]
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.engine.runtime
    }

    /// Returns a snapshot of all counters.
    #[must_use]
    pub fn metrics(&self) -> StoreMetrics {
        let gate = &self.engine.gate;
        let (failures, fails) = gate.failures();
        let near = gate.near().map(|near| near.info()).map(|info| NearUse {
            memory: MemoryUse {
                entries: info.entries as u64,
                used_bytes: info.used_bytes,
                max_bytes: info.max_bytes,
                evictions: info.evictions,
            },
            max_staleness: info.max_staleness.as_secs_f64(),
            validity_age: info.validity_age.map(|age| age.as_secs_f64()),
        });
        StoreMetrics {
            backend: self.backend(),
            backend_up: !fails,
            enabled: self.is_enabled(),
            failures,
            invalidations: gate.invalidations(),
            memory: gate.memory_use(),
            near,
            caches: self.registry.metrics(),
        }
    }

    /// Returns the latest events: a backend that begins to fail or works again, invalidations, slow
    /// loads.
    #[must_use]
    pub fn events(&self) -> &Arc<Events> {
        self.engine.gate.events()
    }

    /// Returns the kind of backend.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        self.engine.gate.name()
    }

    /// Returns the caches, ordered by prefix, version and name.
    #[must_use]
    pub fn caches(&self) -> Vec<CacheInfo> {
        self.registry.infos()
    }

    /// Pings the backend, and returns the round-trip time. Costs one round trip.
    ///
    /// # Errors
    /// Returns an error if the backend fails.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn ping(&self) -> Result<Duration, Error> {
        let began = self.engine.runtime.now();
        self.engine.gate.ping().await?;
        Ok(self.engine.runtime.now().since(began))
    }

    /// Reads the backend's own status. Costs one round trip.
    ///
    /// # Errors
    /// Returns an error if the backend fails.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn info(&self) -> Result<ServerInfo, Error> {
        self.engine.gate.info().await
    }

    /// Finishes what was begun, and closes all connections. Later operations fail with an error
    /// of kind [`ErrorKind::Closed`]; loads run their loaders.
    ///
    /// Invalidations whose callers are gone are completed; those that callers still wait for
    /// fail unless they are done in time. Leases of loads that still run are released, so that other processes need not wait
    /// for them, and keys that are being written are invalidated. Takes at most
    /// [`CLOSE_TIMEOUT`], and reports what is left then.
    ///
    /// # Cancel safety
    /// If dropped, the store stays open, and grants no new leases.
    pub async fn close(&self) -> Unfinished {
        let unfinished = drain(&self.engine, CLOSE_TIMEOUT).await;
        self.engine.gate.close().await;
        if !unfinished.is_nothing() {
            tracing::error!("closed the store with {unfinished}");
        }
        unfinished
    }
}

impl fmt::Debug for ByteStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("ByteStore");
        debug.field("engine", &self.engine).field("caches", &self.registry).finish()
    }
}
