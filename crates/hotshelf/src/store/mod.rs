//! The store: one backend and all caches on it.

mod builder;
mod info;

use std::time::Duration;

use hotshelf_core::cache::Unfinished;
use hotshelf_core::near::{ConsistencyToken, NearTier};
use hotshelf_core::observe::{EventStream, StoreMetrics};
use hotshelf_core::{ByteStore, Error, Jitter};

use crate::cache::{CacheBuilder, CacheValue};
use crate::invalidation::Invalidation;
pub use builder::StoreBuilder;
pub use info::StoreInfo;

/// A backend, its connection, and all caches on it. A cheap handle: clone it freely.
///
/// A process usually creates one store at startup: [`Store::memory`] needs no server,
/// [`Store::connect`] takes the URL of one, and [`Store::builder`] has further options.
///
/// ```
/// # async fn example() -> Result<(), hotshelf::Error> {
/// use hotshelf::Store;
///
/// let store = Store::memory();
/// let users = store.cache::<String>("users").build()?;
/// users.insert(1, "Ada".to_owned()).await;
/// assert_eq!(users.get(1).await.as_deref().map(String::as_str), Some("Ada"));
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) bytes: ByteStore,
    /// The jitter of caches that set none.
    pub(crate) jitter: Jitter,
    /// The server's address without a password; `None` in memory.
    address: Option<String>,
    #[cfg(feature = "redis")]
    redis: Option<hotshelf_redis::RedisClient>,
}

impl Store {
    /// Creates a store in the process's memory, of at most 64 MiB.
    ///
    /// It needs no server. [`StoreBuilder::memory_capacity`] sets another capacity.
    #[cfg(feature = "memory")]
    #[must_use]
    pub fn memory() -> Self {
        StoreBuilder::default().in_memory().expect("the defaults are valid")
    }

    /// Creates a disabled store: nothing is cached, and every load runs its loader.
    ///
    /// [`set_enabled(true)`](Self::set_enabled) turns it into a store in memory.
    #[cfg(feature = "memory")]
    #[must_use]
    pub fn disabled() -> Self {
        StoreBuilder::default().enabled(false).in_memory().expect("the defaults are valid")
    }

    /// Connects to the server of a URL.
    ///
    /// | URL | backend |
    /// | --- | --- |
    /// | `memory://` | the process's own memory |
    /// | `redis://[user:password@]host[:port][/database]` | Redis or Valkey |
    /// | `unix:///path/to/redis.sock[?db=database]` | the same over a Unix socket |
    /// | `redis+sentinel://host[:port],host[:port]/service[/database]` | the primary of a Sentinel service |
    /// | `redis+cluster://host[:port],host[:port]` | a Cluster |
    /// | `rediss://…`, `rediss+sentinel://…`, `rediss+cluster://…` | the same over TLS, with the feature `tls` |
    ///
    /// [`RedisOptions`](crate::RedisOptions) documents all parts of a URL, and the options
    /// that a URL cannot hold: certificates, rotating tokens.
    ///
    /// Waits for the first attempt to connect, 250 ms at most. An unreachable server is not an
    /// error: until it can be reached, the store works without a cache and every load runs its
    /// loader.
    ///
    /// # Errors
    /// Returns an error of kind [`Configuration`](crate::ErrorKind::Configuration) if the URL
    /// is invalid, or [`Unsupported`](crate::ErrorKind::Unsupported) if this build doesn't
    /// support its scheme.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let store = Self::builder().url(url).build()?;
        // The connection logs its failure.
        let _ = store.ping().await;
        Ok(store)
    }

    /// Returns a builder, for a store with custom options.
    pub fn builder() -> StoreBuilder {
        StoreBuilder::default()
    }

    /// Returns a builder for the cache of this name, with values of type `T`.
    pub fn cache<T: CacheValue>(
        &self,
        name: impl Into<std::borrow::Cow<'static, str>>,
    ) -> CacheBuilder<T> {
        CacheBuilder::new(self.clone(), name.into())
    }

    /// Returns the kind of backend: `memory`, `redis`.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        self.bytes.backend()
    }

    /// Returns a token for the changes that were applied before this call: invalidations, inserts
    /// and writes. A call that presents it by [`Entry::after`](crate::Entry::after) gets no older
    /// value, in any process, and so reads what its user has written.
    ///
    /// Without [near tiers](StoreBuilder::near) no call gets an older value anyway.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), hotshelf::Error> {
    /// # let store = hotshelf::Store::memory();
    /// let users = store.cache::<String>("users").build()?;
    /// // In one service, after the change is committed:
    /// users.invalidate(42).await?;
    /// let header = store.consistency_token().to_string();
    /// // In another one, which gets the header with the next request:
    /// let token: hotshelf::ConsistencyToken = header.parse()?;
    /// users.entry(42).after(token).or_insert_with(async || "Ada".to_owned()).await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn consistency_token(&self) -> ConsistencyToken {
        self.bytes.consistency_token()
    }

    /// Enables or disables all caches of this store at run time.
    ///
    /// While the caches are disabled, nothing is read or stored, and every load runs its
    /// loader. Invalidations are still executed, and an insert or a reload removes the entry
    /// that it would have replaced, so that no outdated entry reappears when the caches are
    /// enabled again. A load that began before stores nothing.
    pub fn set_enabled(&self, enabled: bool) {
        self.bytes.set_enabled(enabled);
    }

    /// Returns `true` if the caches of this store are enabled.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.bytes.is_enabled()
    }

    /// Invalidates all entries that carry a tag, in all caches that were built on this store,
    /// and revokes every load of them in flight.
    ///
    /// Tags belong to the prefix of a cache: entries under a prefix that this process has not
    /// used in any cache are not reached. Costs one round trip regardless of the number of
    /// entries.
    ///
    /// # Errors
    /// Returns an error of kind [`Key`](crate::ErrorKind::Key) if the name is empty, or
    /// [`Configuration`](crate::ErrorKind::Configuration) if no cache was built. Returns an
    /// error if the backend fails; the entries may then still be hits.
    ///
    /// # Cancel safety
    /// Once polled, the invalidation completes even if the future is dropped.
    pub async fn invalidate_tag(&self, name: &str) -> Result<Invalidation, Error> {
        self.invalidate_tags([name]).await
    }

    /// Invalidates several tags, in one round trip; see [`Store::invalidate_tag`].
    ///
    /// # Errors
    /// Same as [`Store::invalidate_tag`].
    ///
    /// # Cancel safety
    /// Same as [`Store::invalidate_tag`].
    pub async fn invalidate_tags<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Invalidation, Error> {
        self.bytes.invalidate_tags(names.into_iter().map(Ok), []).await?;
        Ok(Invalidation::applied(0))
    }

    /// Pings the backend, and returns the round-trip time.
    ///
    /// Costs one round trip.
    ///
    /// # Errors
    /// Returns an error if the backend fails.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn ping(&self) -> Result<Duration, Error> {
        self.bytes.ping().await
    }

    /// Returns the state of the backend and the caches. It contains no password and no key.
    ///
    /// Costs one round trip. If the backend doesn't answer, [`StoreInfo::server`] is `None`.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn info(&self) -> StoreInfo {
        StoreInfo {
            backend: self.backend(),
            address: self.address.clone(),
            enabled: self.is_enabled(),
            server: self.bytes.info().await.ok(),
            near: self.bytes.near().map(NearTier::info),
            caches: self.bytes.caches(),
        }
    }

    /// Returns the address of the server, without a password; `None` in memory.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// Returns the store as the core knows it, for crates that build on that.
    #[must_use]
    pub fn bytes(&self) -> &ByteStore {
        &self.bytes
    }

    /// Returns all counters, and the state of the backend as far as it is known without asking.
    /// `to_string` writes them in the text format of Prometheus. Costs no round trip, and calls
    /// nothing.
    ///
    /// ```
    /// let store = hotshelf::Store::memory();
    /// assert!(store.metrics().to_string().contains("cache_backend_up{backend=\"memory\"} 1"));
    /// ```
    #[must_use]
    pub fn metrics(&self) -> StoreMetrics {
        self.bytes.metrics()
    }

    /// Returns the events from now on: a backend that begins to fail or works again, invalidations
    /// with their outcome, loads that took longer than a second. The last 256 are kept for a reader
    /// that is slow.
    #[must_use]
    pub fn events(&self) -> EventStream {
        self.bytes.events().stream()
    }

    /// Returns the client of the server, for commands beyond caching; `None` in memory.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn redis(&self) -> Option<&hotshelf_redis::RedisClient> {
        self.redis.as_ref()
    }

    /// Finishes what was begun, and closes all connections. Later loads run their loaders,
    /// without a cache.
    ///
    /// Call it when the process stops, after the server has stopped accepting requests and
    /// before the runtime ends. It completes invalidations whose callers were cancelled, releases
    /// the leases of loads that still run, so that other processes don't wait for them, and
    /// invalidates the keys that are being written. It takes one second at most; what is left
    /// then, because the server doesn't answer, is returned and logged.
    ///
    /// # Cancel safety
    /// If dropped, the connections stay open, and nothing is stored any more.
    pub async fn close(&self) -> Unfinished {
        self.bytes.close().await
    }
}
