//! quick_cache: concurrent callers of `get_or_insert_async` share one load.

use std::convert::Infallible;

use quick_cache::sync::Cache;

use super::Library;
use crate::Failure;
use crate::loader::Loader;

/// `quick_cache::sync::Cache`.
pub(crate) struct QuickCache {
    cache: Cache<String, u64>,
}

impl Library for QuickCache {
    const LABEL: &'static str = "quick_cache";
    const CRATES: &'static [&'static str] = &["quick_cache"];
    const CALL: &'static str = "get_or_insert_async";
    const GROUP: Option<&'static str> = Some("retain");

    async fn open(_redis_url: &str) -> Result<Self, Failure> {
        Ok(Self { cache: Cache::new(10_000) })
    }

    async fn get_or_load(&self, key: &str, loader: &Loader) -> Result<u64, Failure> {
        let load = async { Ok::<_, Infallible>(loader.load().await) };
        Ok(self.cache.get_or_insert_async(key, load).await?)
    }

    async fn invalidate(&self, key: &str) -> Result<(), Failure> {
        self.cache.remove(key);
        Ok(())
    }

    async fn invalidate_lists(&self) -> Result<(), Failure> {
        self.cache.retain(|key, _value| !key.starts_with("list:"));
        Ok(())
    }
}
