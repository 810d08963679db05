//! hotshelf: `get_or_try_insert_with`, in memory and on Redis.

use std::convert::Infallible;
use std::time::Duration;

use hotshelf::{Cache, Store};

use super::Library;
use crate::Failure;
use crate::loader::Loader;

/// `Store::memory()`.
pub(crate) struct InMemory(Shelf);

/// `Store::connect("redis://…")`.
pub(crate) struct OnRedis(Shelf);

/// The common implementation.
struct Shelf {
    cache: Cache<u64>,
}

impl Shelf {
    fn new(store: &Store) -> Result<Self, Failure> {
        // The other libraries wait for a load without limit. The default of 2 s is meant for
        // services: on a busy machine it may expire before all processes have asked.
        let cache = store.cache("race").wait_timeout(Duration::from_secs(20)).build()?;
        Ok(Self { cache })
    }

    async fn get_or_load(&self, key: &str, loader: &Loader) -> Result<u64, Failure> {
        let load = async || Ok::<_, Infallible>(loader.load().await);
        let tags = key.starts_with("list:").then_some(TAG);
        Ok(*self.cache.entry(key).tags(tags).or_try_insert_with(load).await?)
    }

    async fn invalidate(&self, key: &str) -> Result<(), Failure> {
        self.cache.invalidate(key).await?;
        Ok(())
    }

    async fn invalidate_lists(&self) -> Result<(), Failure> {
        self.cache.invalidate_tag(TAG).await?;
        Ok(())
    }
}

/// The call in [`Shelf::invalidate_lists`].
const LISTS: Option<&str> = Some("invalidate_tag");

/// The tag of keys that begin with `list:`.
const TAG: &str = "lists";

const CRATES: &[&str] = &["hotshelf"];
const CALL: &str = "get_or_try_insert_with";

impl Library for InMemory {
    const LABEL: &'static str = "hotshelf";
    const CRATES: &'static [&'static str] = CRATES;
    const CALL: &'static str = CALL;
    const GROUP: Option<&'static str> = LISTS;

    async fn open(_redis_url: &str) -> Result<Self, Failure> {
        Ok(Self(Shelf::new(&Store::memory())?))
    }

    async fn get_or_load(&self, key: &str, loader: &Loader) -> Result<u64, Failure> {
        self.0.get_or_load(key, loader).await
    }

    async fn invalidate(&self, key: &str) -> Result<(), Failure> {
        self.0.invalidate(key).await
    }

    async fn invalidate_lists(&self) -> Result<(), Failure> {
        self.0.invalidate_lists().await
    }
}

impl Library for OnRedis {
    const LABEL: &'static str = "hotshelf on Redis";
    const CRATES: &'static [&'static str] = CRATES;
    const CALL: &'static str = CALL;
    const GROUP: Option<&'static str> = LISTS;
    const SHARED: bool = true;

    async fn open(redis_url: &str) -> Result<Self, Failure> {
        Ok(Self(Shelf::new(&Store::connect(redis_url).await?)?))
    }

    async fn get_or_load(&self, key: &str, loader: &Loader) -> Result<u64, Failure> {
        self.0.get_or_load(key, loader).await
    }

    async fn invalidate(&self, key: &str) -> Result<(), Failure> {
        self.0.invalidate(key).await
    }

    async fn invalidate_lists(&self) -> Result<(), Failure> {
        self.0.invalidate_lists().await
    }
}
