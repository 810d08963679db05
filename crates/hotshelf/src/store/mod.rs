//! The store: one backend and all caches on it.

mod builder;
mod info;

use std::time::Duration;

use hotshelf_core::{ByteStore, Error, Jitter};

use crate::cache::{CacheBuilder, CacheValue};
use crate::invalidation::Invalidation;
pub use builder::StoreBuilder;
pub use info::StoreInfo;

/// A backend, its connection, and all caches on it. A cheap handle: clone it freely.
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
    /// Keeps entries in the process's own memory, at most 64 MiB of them.
    ///
    /// Needs no server. [`StoreBuilder::memory_capacity`] sets another bound.
    #[cfg(feature = "memory")]
    #[must_use]
    pub fn memory() -> Self {
        StoreBuilder::default().in_memory().expect("the defaults are valid")
    }

    /// Keeps nothing: every load runs its loader.
    ///
    /// [`set_enabled(true)`](Self::set_enabled) makes it a store in memory.
    #[cfg(feature = "memory")]
    #[must_use]
    pub fn disabled() -> Self {
        StoreBuilder::default().enabled(false).in_memory().expect("the defaults are valid")
    }

    /// Connects to the server that a URL names.
    ///
    /// | URL | backend |
    /// | --- | --- |
    /// | `memory://` | the process's own memory |
    /// | `redis://[user:password@]host[:port][/database]` | Redis or Valkey |
    /// | `unix:///path/to/redis.sock[?db=database]` | the same by a Unix socket |
    /// | `redis+sentinel://host[:port],host[:port]/service[/database]` | the primary that Sentinels name |
    /// | `redis+cluster://host[:port],host[:port]` | a Cluster |
    /// | `rediss://…`, `rediss+sentinel://…`, `rediss+cluster://…` | the same by TLS, with the feature `tls` |
    ///
    /// [`RedisOptions`](crate::RedisOptions) says all that a URL may hold, and what can't
    /// stand in one: certificates, tokens that rotate.
    ///
    /// It waits for the first attempt to connect, 250 ms at most. A server that is away
    /// is no error: the store serves without it, through the loaders, and connects once
    /// the server is there.
    ///
    /// # Errors
    /// For a wrong URL, of kind [`Configuration`](crate::ErrorKind::Configuration); for
    /// what this build can't serve, of kind [`Unsupported`](crate::ErrorKind::Unsupported).
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let store = Self::builder().url(url).build()?;
        if let Err(error) = store.ping().await {
            tracing::warn!(%error, "the cache server doesn't answer; serving without it for now");
        }
        Ok(store)
    }

    /// Begins a store with options of your own.
    pub fn builder() -> StoreBuilder {
        StoreBuilder::default()
    }

    /// Begins the cache of this name: the view of values of one type.
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

    /// Switches all caches of this store on or off, at run time.
    ///
    /// While they are off, nothing is read or stored and every load runs its loader.
    /// Invalidations are carried out all the same, and an insert or a reload removes the
    /// entry that it would have replaced, so that switching on again brings nothing outdated
    /// back. A load that began before stores nothing any more.
    pub fn set_enabled(&self, enabled: bool) {
        self.bytes.set_enabled(enabled);
    }

    /// Reports whether the caches of this store are on.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.bytes.is_enabled()
    }

    /// Invalidates all entries that carry a tag, in all caches that were built on this
    /// store, and refuses every load of them that is in flight.
    ///
    /// Tags belong to a prefix: a cache that no part of this process has built is not
    /// reached. Costs one round trip, no matter how many entries there are.
    ///
    /// # Errors
    /// Of kind [`Key`](crate::ErrorKind::Key) for a tag without a name, of kind
    /// [`Configuration`](crate::ErrorKind::Configuration) if no cache was built; else the
    /// backend's own: then the entries may still count.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate_tag(&self, name: &str) -> Result<Invalidation, Error> {
        self.invalidate_tags([name]).await
    }

    /// Invalidates several tags, in one round trip; see [`Store::invalidate_tag`].
    ///
    /// # Errors
    /// As [`Store::invalidate_tag`].
    ///
    /// # Cancel safety
    /// As [`Store::invalidate_tag`].
    pub async fn invalidate_tags<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Invalidation, Error> {
        self.bytes.invalidate_tags(names.into_iter().map(Ok), []).await?;
        Ok(Invalidation::applied(0))
    }

    /// Sends a ping, and returns how long the answer took.
    ///
    /// Costs one round trip.
    ///
    /// # Errors
    /// The backend's own.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn ping(&self) -> Result<Duration, Error> {
        self.bytes.ping().await
    }

    /// Returns what the backend and the caches are doing. It holds no password and no key.
    ///
    /// Costs one round trip. A backend that doesn't answer is not an error: its part is
    /// missing then.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn info(&self) -> StoreInfo {
        StoreInfo {
            backend: self.backend(),
            address: self.address.clone(),
            enabled: self.is_enabled(),
            server: self.bytes.info().await.ok(),
            caches: self.bytes.caches(),
        }
    }

    /// Returns the server's own client, for what a cache doesn't do; `None` in memory.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn redis(&self) -> Option<&hotshelf_redis::RedisClient> {
        self.redis.as_ref()
    }

    /// Lets the connections go, once what is under way is answered or its deadline has
    /// passed; it doesn't wait for that. Loads still run their loaders after it, without a
    /// cache.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn close(&self) {
        self.bytes.close().await;
    }
}
