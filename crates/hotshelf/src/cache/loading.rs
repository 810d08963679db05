//! Caches that know their loader.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use hotshelf_core::cache::{CallOptions, Mode};
use hotshelf_core::{BoxFuture, IntoKey};

use super::context::LoadContext;
use super::load::value;
use super::{Cache, CacheValue};
use crate::load_error::LoadError;

type Loader<K, T, E> =
    dyn Fn(K, LoadContext<T>) -> BoxFuture<'static, Result<Arc<T>, E>> + Send + Sync;

/// A cache and its loader, so that calls name only a key. Created by [`Cache::with_loader`]. A
/// cheap handle.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// # async fn find(_id: u64) -> Result<u32, std::io::Error> { Ok(5) }
/// let prices = hotshelf::Store::memory()
///     .cache::<u32>("prices")
///     .stale_while_revalidate(Duration::from_secs(600))
///     .build()?
///     .with_loader(|id: u64, _| find(id));
/// assert_eq!(*prices.get(7).await?, 5);
/// prices.cache().invalidate(7).await?;
/// # Ok(())
/// # }
/// ```
pub struct Loading<K, T, E> {
    cache: Cache<T>,
    load: Arc<Loader<K, T, E>>,
}

impl<T: CacheValue> Cache<T> {
    /// Returns the cache with a loader for its keys. The loader borrows nothing, so that it can run
    /// in the background; see [`Entry::or_refresh_with`](super::Entry::or_refresh_with).
    pub fn with_loader<K, F, Fut, V, E>(&self, load: F) -> Loading<K, T, E>
    where
        F: Fn(K, LoadContext<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Arc<T>>,
    {
        let load = move |key, context| -> BoxFuture<'static, _> {
            let loading = load(key, context);
            Box::pin(async move { loading.await.map(Into::into) })
        };
        Loading { cache: self.clone(), load: Arc::new(load) }
    }
}

impl<K, T, E> Loading<K, T, E>
where
    K: IntoKey + Clone + Send + 'static,
    T: CacheValue,
    E: Send + Sync + 'static,
{
    /// Returns the value of a key, or loads it.
    ///
    /// # Errors
    /// Same as [`Entry::or_load`](super::Entry::or_load).
    ///
    /// # Cancel safety
    /// Same as [`Entry::or_refresh_with`](super::Entry::or_refresh_with).
    pub async fn get(&self, key: K) -> Result<Arc<T>, LoadError<E>> {
        self.load(key, CallOptions::default()).await
    }

    /// Loads and stores the value of a key even if it is cached, and returns it.
    ///
    /// # Errors
    /// Same as [`Entry::or_load`](super::Entry::or_load).
    ///
    /// # Cancel safety
    /// Same as [`Entry::or_refresh_with`](super::Entry::or_refresh_with).
    pub async fn reload(&self, key: K) -> Result<Arc<T>, LoadError<E>> {
        self.load(key, CallOptions::default().mode(Mode::Reload)).await
    }

    async fn load(&self, key: K, options: CallOptions) -> Result<Arc<T>, LoadError<E>> {
        let (load, wanted) = (Arc::clone(&self.load), key.clone());
        let load = move |context| {
            let loading = load(wanted, context);
            async move { loading.await.map(Some) }
        };
        let key = self.cache.bytes.key(&key.into_key());
        value(self.cache.load_apart(key, options, load).await)
    }

    /// Returns the cache.
    #[must_use]
    pub fn cache(&self) -> &Cache<T> {
        &self.cache
    }
}

impl<K, T, E> Clone for Loading<K, T, E> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), load: Arc::clone(&self.load) }
    }
}

impl<K, T, E> fmt::Debug for Loading<K, T, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Loading").field("cache", &self.cache).finish_non_exhaustive()
    }
}
