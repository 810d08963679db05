//! Test code that caches, without a server and without waiting:
//! `cargo run -p hotshelf --features test-util --example testing`.

use std::time::Duration;

use hotshelf::testing::TestStore;
use hotshelf::{Cache, Store};

/// The code that is to be tested.
struct Prices {
    cache: Cache<u32>,
}

impl Prices {
    fn new(store: &Store) -> Result<Self, hotshelf::Error> {
        let hour = Duration::from_secs(3600);
        Ok(Self { cache: store.cache("prices").time_to_live(hour).build()? })
    }

    async fn of(&self, name: &str) -> u32 {
        *self.cache.get_or_insert_with(name, async || name.len() as u32).await
    }
}

/// In a project these are `#[tokio::test]` functions.
#[tokio::main]
async fn main() -> Result<(), hotshelf::Error> {
    let test = TestStore::new();
    let prices = Prices::new(test.store())?;
    for _ in 0..10 {
        assert_eq!(prices.of("lamp").await, 4);
    }
    assert_eq!(prices.cache.stats().loads, 1, "the loader ran once");

    test.advance(Duration::from_secs(3600));
    prices.of("lamp").await;
    assert_eq!(prices.cache.stats().loads, 2, "the entry has expired");

    test.fail(true);
    assert_eq!(prices.of("lamp").await, 4, "a dead cache doesn't stop the service");
    Ok(())
}
