//! foyer: `get_or_fetch` deduplicates concurrent fetches.

use std::convert::Infallible;

use foyer::{Cache, CacheBuilder};

use super::Library;
use crate::Failure;
use crate::loader::Loader;

/// `foyer::Cache`, the in-memory cache. It has no groups; `clear` removes everything.
pub(crate) struct Foyer {
    cache: Cache<String, u64>,
}

impl Library for Foyer {
    const LABEL: &'static str = "foyer";
    const CRATES: &'static [&'static str] = &["foyer"];
    const CALL: &'static str = "get_or_fetch";

    async fn open(_redis_url: &str) -> Result<Self, Failure> {
        Ok(Self { cache: CacheBuilder::new(10_000).build() })
    }

    async fn get_or_load(&self, key: &str, loader: &Loader) -> Result<u64, Failure> {
        let loader = loader.clone();
        let fetch = || async move { Ok::<_, Infallible>(loader.load().await) };
        Ok(*self.cache.get_or_fetch(key, fetch).await?.value())
    }

    async fn invalidate(&self, key: &str) -> Result<(), Failure> {
        self.cache.remove(key);
        Ok(())
    }
}
