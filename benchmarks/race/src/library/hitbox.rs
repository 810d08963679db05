//! hitbox: `#[cached]` functions on a backend, with its `BroadcastConcurrencyManager` and a
//! concurrency of 1, so that concurrent callers wait for one load.
//!
//! An entry is removed from the backend, by the key that the library's extractor derives from
//! the function's arguments. There are no groups.

use std::time::Duration;

use hitbox::backend::CacheBackend;
use hitbox::concurrency::BroadcastConcurrencyManager;
use hitbox::policy::{ConcurrencyLimit, PolicyConfig};
use hitbox::{CacheKey, DisabledOffload, Extractor};
use hitbox_fn::{Arg, Args, Cache, FnExtractor, cached};
use hitbox_moka::MokaBackend;
use hitbox_redis::{ConnectionMode, RedisBackend};

use super::Library;
use crate::Failure;
use crate::loader::Loader;

type Broadcast = BroadcastConcurrencyManager<u64>;

const CALL: &str = "#[cached]` and `BroadcastConcurrencyManager";

#[cached(prefix = "read", skip(loader))]
async fn read(_key: String, loader: Loader) -> u64 {
    loader.load().await
}

async fn key_of(key: &str) -> CacheKey {
    let arguments = Args((Arg::new("_key", key.to_owned()),));
    FnExtractor::new("read").get(arguments).await.into_cache_key().1
}

/// `hitbox_fn::Cache` on a backend.
struct Hitbox<B> {
    cache: Cache<B, Broadcast, DisabledOffload>,
}

impl<B: CacheBackend + Send + Sync + 'static> Hitbox<B> {
    fn new(backend: B) -> Result<Self, Failure> {
        let one = ConcurrencyLimit::new(1).ok_or("invalid concurrency limit 1")?;
        let policy = PolicyConfig::builder().ttl(Duration::from_secs(300)).concurrency(one).build();
        let cache = Cache::builder()
            .backend(backend)
            .policy(policy)
            .concurrency_manager(Broadcast::new())
            .build();
        Ok(Self { cache })
    }

    async fn get_or_load(&self, key: &str, loader: &Loader) -> Result<u64, Failure> {
        Ok(read(key.to_owned(), loader.clone()).cache(&self.cache).await)
    }

    async fn invalidate(&self, key: &str) -> Result<(), Failure> {
        self.cache.backend().remove(&key_of(key).await).await?;
        Ok(())
    }
}

/// On moka, in memory.
pub(crate) struct OnMoka(Hitbox<MokaBackend>);

impl Library for OnMoka {
    const LABEL: &'static str = "hitbox on moka";
    const CRATES: &'static [&'static str] = &["hitbox", "hitbox-fn", "hitbox-moka"];
    const CALL: &'static str = CALL;

    async fn open(_redis_url: &str) -> Result<Self, Failure> {
        Ok(Self(Hitbox::new(MokaBackend::builder().max_entries(10_000).build())?))
    }

    async fn get_or_load(&self, key: &str, loader: &Loader) -> Result<u64, Failure> {
        self.0.get_or_load(key, loader).await
    }

    async fn invalidate(&self, key: &str) -> Result<(), Failure> {
        self.0.invalidate(key).await
    }
}

/// On Redis.
pub(crate) struct OnRedis(Hitbox<RedisBackend>);

impl Library for OnRedis {
    const LABEL: &'static str = "hitbox on Redis";
    const CRATES: &'static [&'static str] = &["hitbox", "hitbox-fn", "hitbox-redis"];
    const CALL: &'static str = CALL;
    const SHARED: bool = true;

    async fn open(redis_url: &str) -> Result<Self, Failure> {
        let connection = ConnectionMode::single(redis_url);
        Ok(Self(Hitbox::new(RedisBackend::builder().connection(connection).build()?)?))
    }

    async fn get_or_load(&self, key: &str, loader: &Loader) -> Result<u64, Failure> {
        self.0.get_or_load(key, loader).await
    }

    async fn invalidate(&self, key: &str) -> Result<(), Failure> {
        self.0.invalidate(key).await
    }
}
