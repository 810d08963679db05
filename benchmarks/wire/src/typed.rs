//! Typed caches, each used in its documented way, and the same by hand.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use cached::{AsyncRedisCache, ConcurrentCachedAsync};
use hotshelf::{Cache, RedisOptions, Store};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

use crate::clients::Redis;
use crate::load::{KEYS, Key, Reader, key};

/// About [`Product::size`] bytes of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Product {
    /// Checked by readers.
    size: usize,
    id: String,
    name: String,
    category: String,
    description: String,
    price: f64,
    in_stock: bool,
}

impl Product {
    pub(crate) fn example(size: usize) -> Self {
        Self {
            size,
            id: "4711".into(),
            name: "Reading lamp".into(),
            category: "lighting".into(),
            description: "A lamp to read by, with an arm of brass and a shade of linen".into(),
            price: 59.9,
            in_stock: true,
        }
    }
}

/// A reader that writes its values itself, since it has its own format.
pub(crate) trait TypedReader: Reader {
    fn insert(
        &self,
        key: Key,
        product: Product,
    ) -> impl Future<Output = Result<(), Box<dyn Error>>>;

    /// Writes all values.
    async fn fill(port: u16, size: usize) -> Result<(), Box<dyn Error>> {
        let reader = Self::connect(port).await?;
        for number in 0..KEYS {
            reader.insert(key(size, number), Product::example(size)).await?;
        }
        Ok(())
    }
}

/// `Cache<T>`.
#[derive(Clone)]
pub(crate) struct HotshelfCache {
    cache: Cache<Product>,
    /// Closes the connection when it is dropped.
    _store: Store,
}

impl Reader for HotshelfCache {
    async fn connect(port: u16) -> Result<Self, Box<dyn Error>> {
        // Long timeouts, since other processes may occupy the cores and outages are not
        // measured.
        let options = RedisOptions::from_url(&format!("redis://127.0.0.1:{port}"))?;
        let store =
            Store::builder().redis(options.read_timeout(Duration::from_secs(10))).build()?;
        Ok(Self { cache: store.cache("products").build()?, _store: store })
    }

    async fn get(&self, key: &Key) -> usize {
        self.cache.get(key).await.map_or(0, |product| product.size)
    }
}

impl TypedReader for HotshelfCache {
    async fn insert(&self, key: Key, product: Product) -> Result<(), Box<dyn Error>> {
        self.cache.fallible().insert(&key, product).await?;
        Ok(())
    }
}

/// `AsyncRedisCache` of cached.
#[derive(Clone)]
pub(crate) struct Cached(AsyncRedisCache<Key, Product>);

impl Reader for Cached {
    async fn connect(port: u16) -> Result<Self, Box<dyn Error>> {
        let cache = AsyncRedisCache::builder("products");
        let cache = cache.connection_string(&format!("redis://127.0.0.1:{port}"));
        Ok(Self(cache.build().await?))
    }

    async fn get(&self, key: &Key) -> usize {
        let product = self.0.async_cache_get(key).await;
        product.ok().flatten().map_or(0, |product| product.size)
    }
}

impl TypedReader for Cached {
    async fn insert(&self, key: Key, product: Product) -> Result<(), Box<dyn Error>> {
        self.0.async_cache_set(key, product).await?;
        Ok(())
    }
}

/// The redis crate and serde_json, by hand.
#[derive(Clone)]
pub(crate) struct ByHand(Redis);

impl Reader for ByHand {
    async fn connect(port: u16) -> Result<Self, Box<dyn Error>> {
        Ok(Self(Redis::connect(port).await?))
    }

    async fn get(&self, key: &Key) -> usize {
        let json: Option<Vec<u8>> =
            self.0.0.clone().get(format!("products:{key}")).await.unwrap_or_default();
        let product = json.and_then(|json| serde_json::from_slice::<Product>(&json).ok());
        product.map_or(0, |product| product.size)
    }
}

impl TypedReader for ByHand {
    async fn insert(&self, key: Key, product: Product) -> Result<(), Box<dyn Error>> {
        let json = serde_json::to_vec(&product)?;
        let key = format!("products:{key}");
        Ok(self.0.0.clone().set::<_, _, ()>(key, json).await?)
    }
}
