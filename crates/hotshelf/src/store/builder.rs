//! The options of a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::cache::LEASE;
use hotshelf_core::near::NearOptions;
use hotshelf_core::{Backend, ByteStore, Error, ErrorKind, Jitter, Runtime};

use super::Store;
use crate::runtime::TokioRuntime;

/// Builds a [`Store`]. Created by [`Store::builder`].
///
/// | option | default |
/// | --- | --- |
/// | [`url`](Self::url) | `memory://` |
/// | [`memory_capacity`](Self::memory_capacity) | 64 MiB |
/// | [`enabled`](Self::enabled) | on |
/// | [`lease`](Self::lease) | 5 s |
/// | [`near`](Self::near) | none |
///
/// `Debug` never shows a password.
#[derive(Clone)]
#[must_use = "a builder does nothing before `build`"]
pub struct StoreBuilder {
    url: String,
    backend: Option<Arc<dyn Backend>>,
    layers: Vec<Arc<Wrap>>,
    #[cfg(feature = "redis")]
    redis: Option<hotshelf_redis::RedisOptions>,
    #[cfg(feature = "memory")]
    memory_capacity: u64,
    enabled: bool,
    lease: Duration,
    near: Option<NearOptions>,
    runtime: Option<Arc<dyn Runtime>>,
    jitter: Jitter,
}

type Wrap = dyn Fn(Arc<dyn Backend>) -> Arc<dyn Backend> + Send + Sync;

impl Default for StoreBuilder {
    fn default() -> Self {
        Self {
            url: "memory://".into(),
            backend: None,
            layers: Vec::new(),
            #[cfg(feature = "redis")]
            redis: None,
            #[cfg(feature = "memory")]
            memory_capacity: hotshelf_memory::DEFAULT_CAPACITY,
            enabled: true,
            lease: LEASE,
            near: None,
            runtime: None,
            jitter: Jitter::default(),
        }
    }
}

impl StoreBuilder {
    /// Sets the backend by URL, see [`Store::connect`]. Default: `memory://`.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// Sets a Redis or Valkey server, with options that a URL cannot hold: deadlines, a client
    /// name, certificate authorities.
    #[cfg(feature = "redis")]
    pub fn redis(mut self, options: hotshelf_redis::RedisOptions) -> Self {
        self.redis = Some(options);
        self
    }

    /// Sets a custom backend. It should pass the conformance suite of hotshelf's own backends.
    pub fn backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Wraps the backend, whichever it is, for example to observe its operations. Each further
    /// layer wraps the layers before it.
    ///
    /// ```
    /// use std::ops::Deref;
    /// use std::sync::Arc;
    ///
    /// use hotshelf::backend::{Answer, Layer, Operation, Result};
    /// use hotshelf::{Backend, BoxFuture, Store};
    ///
    /// #[derive(Debug)]
    /// struct Printed(Arc<dyn Backend>);
    ///
    /// impl Layer for Printed {
    ///     type Inner = dyn Backend;
    ///
    ///     fn inner(&self) -> Result<impl Deref<Target = dyn Backend> + Send> {
    ///         Ok(&*self.0)
    ///     }
    ///
    ///     fn around<'a, A: Answer + 'a>(
    ///         &'a self,
    ///         operation: Operation<'a>,
    ///         run: BoxFuture<'a, A>,
    ///     ) -> BoxFuture<'a, A> {
    ///         println!("{}", operation.name());
    ///         run
    ///     }
    /// }
    ///
    /// let store = Store::builder().layer(Printed).build()?;
    /// # Ok::<(), hotshelf::Error>(())
    /// ```
    pub fn layer<B: Backend>(
        mut self,
        wrap: impl Fn(Arc<dyn Backend>) -> B + Send + Sync + 'static,
    ) -> Self {
        self.layers.push(Arc::new(move |backend| Arc::new(wrap(backend))));
        self
    }

    /// Sets the capacity of a store in memory, in bytes. Default: 64 MiB.
    ///
    /// Keys, entries and decoded values count, the latter by the length of their entries. A single
    /// entry may take nine tenths of it, or about 14 MiB if that is less.
    #[cfg(feature = "memory")]
    pub fn memory_capacity(mut self, bytes: u64) -> Self {
        self.memory_capacity = bytes;
        self
    }

    /// Sets whether the caches are initially enabled. Default: on.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Sets the duration of leases, from 10 ms to an hour. Default: 5 s.
    ///
    /// A lease is the right to fill a key. It is renewed every third of this time while a
    /// loader, or a write through the cache, runs.
    ///
    /// After a process has crashed during a load, others cannot store that key for this long:
    /// they wait, for their cache's [`wait_timeout`](crate::CacheBuilder::wait_timeout) at
    /// most, and then load without storing. A process that is stopped, or cannot reach the
    /// server, for longer than its lease loses the right: the loaded value is not stored.
    pub fn lease(mut self, duration: Duration) -> Self {
        self.lease = duration;
        self
    }

    /// Keeps what is read from a server in the memory of this process, too: a near tier. Default:
    /// none.
    ///
    /// A hit in it costs no round trip. Redis and Valkey report changes of what was read; a hit
    /// reflects every invalidation that was executed before the last answered ping, which is no
    /// older than [`max_staleness`](NearOptions::max_staleness) (2 s), and those through this
    /// store at once. Values of 128 KiB and more are not kept, once they are known to be so large.
    /// Where no changes are reported, as over RESP2 or through a [layer](Self::layer), nothing is
    /// kept, unless [`without_reports`](NearOptions::without_reports) is set: the limitations in
    /// [`Store::info`] say so. A store in memory needs no near tier.
    ///
    /// [`CacheBuilder::near`](crate::CacheBuilder::near) leaves a cache out.
    ///
    /// ```
    /// use hotshelf::{NearOptions, Store};
    ///
    /// let store = Store::builder().url("redis://localhost").near(NearOptions::default()).build()?;
    /// # Ok::<(), hotshelf::Error>(())
    /// ```
    pub fn near(mut self, options: NearOptions) -> Self {
        self.near = Some(options);
        self
    }

    /// Sets the source of time and randomness, for tests. Default: tokio and the operating
    /// system.
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Disables jitter in caches that don't set it.
    #[cfg(feature = "test-util")]
    pub(crate) fn without_jitter(mut self) -> Self {
        self.jitter = Jitter::NONE;
        self
    }

    /// Builds the store. It connects on the first operation.
    ///
    /// # Errors
    /// Same as [`Store::connect`]. Also returns an error of kind
    /// [`Configuration`](crate::ErrorKind::Configuration) if the lease is invalid.
    pub fn build(self) -> Result<Store, Error> {
        if let Some(backend) = &self.backend {
            return self.on(Arc::clone(backend), self.the_runtime());
        }
        #[cfg(feature = "redis")]
        if let Some(options) = self.redis.clone() {
            return self.on_redis(&options);
        }
        match self.url.to_ascii_lowercase().strip_prefix("memory:") {
            Some("" | "//") => self.memory_or_error(),
            Some(_) => Err(Error::new(
                ErrorKind::Configuration,
                "invalid memory URL: use `memory://`, and `memory_capacity` for its size",
            )),
            None => self.server_or_error(),
        }
    }

    #[cfg(feature = "redis")]
    fn server_or_error(self) -> Result<Store, Error> {
        let options = hotshelf_redis::RedisOptions::from_url(&self.url)?;
        self.on_redis(&options)
    }

    #[cfg(not(feature = "redis"))]
    fn server_or_error(self) -> Result<Store, Error> {
        let message = "unsupported URL: only memory:// is built in; enable the feature `redis`";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    #[cfg(feature = "redis")]
    fn on_redis(self, options: &hotshelf_redis::RedisOptions) -> Result<Store, Error> {
        let runtime = self.the_runtime();
        let backend = hotshelf_redis::RedisBackend::new(options, Arc::clone(&runtime))?;
        let client = backend.client().clone();
        let mut store = self.on(Arc::new(backend), runtime)?;
        store.address = Some(options.to_string());
        store.redis = Some(client);
        Ok(store)
    }

    fn memory_or_error(self) -> Result<Store, Error> {
        #[cfg(feature = "memory")]
        return self.in_memory();
        #[cfg(not(feature = "memory"))]
        Err(Error::new(
            ErrorKind::Unsupported,
            "unsupported URL memory://: enable the feature `memory`, or set the URL of a server",
        ))
    }

    #[cfg(feature = "memory")]
    pub(super) fn in_memory(self) -> Result<Store, Error> {
        let runtime = self.the_runtime();
        let backend =
            hotshelf_memory::MemoryBackend::new(self.memory_capacity, Arc::clone(&runtime));
        self.on(Arc::new(backend), runtime)
    }

    fn the_runtime(&self) -> Arc<dyn Runtime> {
        self.runtime.clone().unwrap_or_else(|| Arc::new(TokioRuntime::new()))
    }

    fn on(&self, backend: Arc<dyn Backend>, runtime: Arc<dyn Runtime>) -> Result<Store, Error> {
        let backend = self.layers.iter().fold(backend, |backend, wrap| wrap(backend));
        let bytes = ByteStore::with_options(backend, runtime, self.lease, self.near)?;
        bytes.set_enabled(self.enabled);
        Ok(Store {
            bytes,
            jitter: self.jitter,
            address: None,
            #[cfg(feature = "redis")]
            redis: None,
        })
    }
}

impl fmt::Debug for StoreBuilder {
    /// Omits the URL: it may hold a password, which cannot be found if the URL is malformed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("StoreBuilder");
        debug.field("enabled", &self.enabled).field("lease", &self.lease).finish_non_exhaustive()
    }
}
