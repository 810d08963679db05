//! cached: memoized functions.
//!
//! In memory there are two documented ways to run a function once for concurrent callers:
//! `sync_writes = "by_key"` locks the key while it runs, `sync_writes = true` the whole cache,
//! including all other keys and invalidations. There is no such option on Redis.

use std::sync::OnceLock;

use cached::macros::{cached, concurrent_cached};
use cached::{AsyncRedisCache, Cached, ConcurrentCachedAsync};

use super::Library;
use crate::Failure;
use crate::loader::Loader;

/// `#[cached]`, in memory, one lock per key.
pub(crate) struct ByKey;

#[cached(key = "String", convert = { _key.to_owned() }, sync_writes = "by_key")]
async fn by_key(_key: &str, loader: &Loader) -> u64 {
    loader.load().await
}

impl Library for ByKey {
    const LABEL: &'static str = "cached";
    const CRATES: &'static [&'static str] = &["cached"];
    const CALL: &'static str = "#[cached(sync_writes = \"by_key\")]";
    const GROUP: Option<&'static str> = Some("retain");

    async fn open(_redis_url: &str) -> Result<Self, Failure> {
        Ok(Self)
    }

    async fn get_or_load(&self, key: &str, loader: &Loader) -> Result<u64, Failure> {
        Ok(by_key(key, loader).await)
    }

    async fn invalidate(&self, key: &str) -> Result<(), Failure> {
        let _ = BY_KEY.write().await.cache_remove(key);
        Ok(())
    }

    async fn invalidate_lists(&self) -> Result<(), Failure> {
        BY_KEY.write().await.retain(|key, _value| !key.starts_with("list:"));
        Ok(())
    }
}

/// `#[cached]`, in memory, one lock for all.
pub(crate) struct Locked;

#[cached(key = "String", convert = { _key.to_owned() }, sync_writes = true)]
async fn locked(_key: &str, loader: &Loader) -> u64 {
    loader.load().await
}

impl Library for Locked {
    const LABEL: &'static str = "cached, locked";
    const CRATES: &'static [&'static str] = &["cached"];
    const CALL: &'static str = "#[cached(sync_writes = true)]";
    const GROUP: Option<&'static str> = Some("retain");

    async fn open(_redis_url: &str) -> Result<Self, Failure> {
        Ok(Self)
    }

    async fn get_or_load(&self, key: &str, loader: &Loader) -> Result<u64, Failure> {
        Ok(locked(key, loader).await)
    }

    async fn invalidate(&self, key: &str) -> Result<(), Failure> {
        let _ = LOCKED.write().await.cache_remove(key);
        Ok(())
    }

    async fn invalidate_lists(&self) -> Result<(), Failure> {
        LOCKED.write().await.retain(|key, _value| !key.starts_with("list:"));
        Ok(())
    }
}

/// `#[concurrent_cached]` on Redis. It has no groups; `async_cache_clear` removes everything.
pub(crate) struct OnRedis;

static REDIS_URL: OnceLock<String> = OnceLock::new();

#[concurrent_cached(
    ty = "AsyncRedisCache<String, u64>",
    create = { connect().await },
    key = "String",
    convert = { _key.to_owned() },
    map_error = |error| error.to_string()
)]
async fn on_redis(_key: &str, loader: &Loader) -> Result<u64, String> {
    Ok(loader.load().await)
}

async fn connect() -> AsyncRedisCache<String, u64> {
    let url = REDIS_URL.get().map(String::as_str).unwrap_or_default();
    let cache = AsyncRedisCache::builder("race").connection_string(url).build().await;
    cache.expect("the Redis server is running")
}

impl Library for OnRedis {
    const LABEL: &'static str = "cached on Redis";
    const CRATES: &'static [&'static str] = &["cached"];
    const CALL: &'static str = "#[concurrent_cached]";
    const SHARED: bool = true;

    async fn open(redis_url: &str) -> Result<Self, Failure> {
        REDIS_URL.get_or_init(|| redis_url.to_owned());
        Ok(Self)
    }

    async fn get_or_load(&self, key: &str, loader: &Loader) -> Result<u64, Failure> {
        Ok(on_redis(key, loader).await?)
    }

    async fn invalidate(&self, key: &str) -> Result<(), Failure> {
        let cache = ON_REDIS.get_or_init(connect).await;
        let _ = cache.async_cache_remove(&key.to_owned()).await?;
        Ok(())
    }
}
