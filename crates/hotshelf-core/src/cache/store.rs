//! A backend and all caches on it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::ByteCache;
use super::registry::{CacheDefinition, CacheInfo, Registry};
use crate::backend::{Backend, ServerInfo};
use crate::engine::{Engine, LEASE, finish_even_if_dropped};
use crate::error::{Error, ErrorKind};
use crate::runtime::Runtime;
use crate::tag::TagId;

/// A backend and all caches on it. A cheap handle.
#[derive(Clone)]
pub struct ByteStore {
    engine: Arc<Engine>,
    registry: Arc<Registry>,
}

/// A shorter lease would expire before it is renewed on a server that is a little slow.
const SHORTEST_LEASE: Duration = Duration::from_millis(10);

impl ByteStore {
    /// Creates a store whose leases last for [`LEASE`], and whose caches are on.
    pub fn new(backend: Arc<dyn Backend>, runtime: Arc<dyn Runtime>) -> Self {
        let engine = Engine::new(backend, runtime, LEASE);
        Self { engine, registry: Arc::new(Registry::new(true)) }
    }

    /// Creates a store whose leases last for `lease` unless they are renewed, which happens
    /// every third of it.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for a lease of less than 10 ms.
    pub fn with_lease(
        backend: Arc<dyn Backend>,
        runtime: Arc<dyn Runtime>,
        lease: Duration,
    ) -> Result<Self, Error> {
        if lease < SHORTEST_LEASE {
            let message = format!("a lease of {lease:?} is too short: 10 ms at least");
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        let engine = Engine::new(backend, runtime, lease);
        Ok(Self { engine, registry: Arc::new(Registry::new(true)) })
    }

    /// Returns the same caches, with their counters, on another backend.
    #[must_use]
    pub fn on(&self, backend: Arc<dyn Backend>, runtime: Arc<dyn Runtime>) -> Self {
        let engine = Engine::new(backend, runtime, self.engine.lease);
        Self { engine, registry: Arc::clone(&self.registry) }
    }

    /// Builds a cache. Built again by the same definition it is the same cache.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for invalid options, or if the cache was built
    /// with other options before; of kind [`ErrorKind::Key`] for a name that layout v2
    /// rejects.
    pub fn cache(&self, definition: CacheDefinition) -> Result<ByteCache, Error> {
        let context = self.registry.get_or_build(definition, false)?;
        Ok(ByteCache { engine: Arc::clone(&self.engine), context })
    }

    /// Builds a view of a cache, whose options may differ from those of its other views.
    /// All of them share their flights and counters.
    ///
    /// # Errors
    /// As [`ByteStore::cache`], but for options that differ.
    pub fn view(&self, definition: CacheDefinition) -> Result<ByteCache, Error> {
        let context = self.registry.get_or_build(definition, true)?;
        Ok(ByteCache { engine: Arc::clone(&self.engine), context })
    }

    /// Returns a cache of [another](ByteStore::on) store on this store's backend.
    #[must_use]
    pub fn attach(&self, cache: &ByteCache) -> ByteCache {
        ByteCache { engine: Arc::clone(&self.engine), context: Arc::clone(&cache.context) }
    }

    /// Reports whether the caches are on.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.registry.enabled.load(Ordering::Relaxed)
    }

    /// Switches all caches on or off. While they are off, loaders run and nothing is read or
    /// stored. Invalidations go on, and an insert or a reload removes the entry that it would
    /// have replaced, or switching them on again would bring outdated entries back.
    pub fn set_enabled(&self, enabled: bool) {
        self.registry.enabled.store(enabled, Ordering::Relaxed);
    }

    /// Invalidates all entries that carry one of these tags, and refuses every load of them
    /// that is in flight. Costs one round trip.
    ///
    /// Tags belong to the prefix of a cache. Reached are the prefixes of the caches that were
    /// built on this store, those that were [declared](super::declare_prefix), and
    /// `prefixes`.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] if that is no prefix at all.
    /// The backend's own: then the entries may still be hits. That of the first invalid
    /// name, once the others have been invalidated.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate_tags<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = Result<N, Error>>,
        prefixes: impl IntoIterator<Item = String>,
    ) -> Result<(), Error> {
        let mut known = self.registry.prefixes();
        known.extend(prefixes);
        if known.is_empty() {
            let message =
                "no cache was built on this store: build those whose tags are meant first";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        let mut invalid = Ok(());
        let mut keys = Vec::new();
        for name in names {
            match name.and_then(|name| TagId::of(name.as_ref())) {
                Ok(id) => keys.extend(known.iter().map(|prefix| id.key(prefix))),
                Err(error) => {
                    if !self.registry.logged_tag.swap(true, Ordering::Relaxed) {
                        tracing::error!("a tag is invalid, nothing is invalidated by it: {error}");
                    }
                    invalid = invalid.and(Err(error));
                }
            }
        }
        if !keys.is_empty() {
            let engine = Arc::clone(&self.engine);
            let invalidation = async move { engine.gate.invalidate_tags(None, &keys).await };
            finish_even_if_dropped(&self.engine.runtime, invalidation).await?;
        }
        invalid
    }

    /// Returns the kind of backend.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        self.engine.gate.name()
    }

    /// Returns the caches, in the order of prefix, version and name.
    #[must_use]
    pub fn caches(&self) -> Vec<CacheInfo> {
        self.registry.infos()
    }

    /// Sends a ping, and returns how long the answer took. Costs one round trip.
    ///
    /// # Errors
    /// The backend's own.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn ping(&self) -> Result<Duration, Error> {
        let began = self.engine.runtime.now();
        self.engine.gate.ping().await?;
        Ok(self.engine.runtime.now().since(began))
    }

    /// Reads what the backend reports of itself. Costs one round trip.
    ///
    /// # Errors
    /// The backend's own.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn info(&self) -> Result<ServerInfo, Error> {
        self.engine.gate.info().await
    }

    /// Closes all connections. Later operations fail with an error of kind
    /// [`ErrorKind::Closed`]; loads run their loaders.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn close(&self) {
        self.engine.gate.close().await;
    }
}

impl fmt::Debug for ByteStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("ByteStore");
        debug.field("engine", &self.engine).field("caches", &self.registry).finish()
    }
}
