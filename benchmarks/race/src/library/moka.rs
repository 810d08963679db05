//! moka: concurrent callers of `get_with` share one future.

use moka::future::Cache;

use super::Library;
use crate::Failure;
use crate::loader::Loader;

/// `moka::future::Cache`.
pub(crate) struct Moka {
    cache: Cache<String, u64>,
}

impl Library for Moka {
    const LABEL: &'static str = "moka";
    const CRATES: &'static [&'static str] = &["moka"];
    const CALL: &'static str = "get_with";
    const GROUP: Option<&'static str> = Some("invalidate_entries_if");

    async fn open(_redis_url: &str) -> Result<Self, Failure> {
        let cache = Cache::builder().max_capacity(10_000).support_invalidation_closures().build();
        Ok(Self { cache })
    }

    async fn get_or_load(&self, key: &str, loader: &Loader) -> Result<u64, Failure> {
        Ok(self.cache.get_with_by_ref(key, loader.load()).await)
    }

    async fn invalidate(&self, key: &str) -> Result<(), Failure> {
        self.cache.invalidate(key).await;
        Ok(())
    }

    async fn invalidate_lists(&self) -> Result<(), Failure> {
        self.cache.invalidate_entries_if(|key, _value| key.starts_with("list:"))?;
        Ok(())
    }
}
