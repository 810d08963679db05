//! A library that caches, tested without a server and without waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hotshelf::backend::Operation;
use hotshelf::testing::{Fault, TestStore};
use hotshelf::{Cache, ErrorKind, Store};

const TTL: Duration = Duration::from_secs(600);

struct Rates {
    cache: Cache<f64>,
    asked: AtomicU32,
}

impl Rates {
    fn new(store: &Store) -> Result<Self, hotshelf::Error> {
        let cache = store.cache("rates").time_to_live(TTL).build()?;
        Ok(Self { cache, asked: AtomicU32::new(0) })
    }

    async fn rate(&self, currency: &str) -> Arc<f64> {
        let load = async || {
            self.asked.fetch_add(1, Ordering::Relaxed);
            1.25
        };
        self.cache.get_or_insert_with(currency, load).await
    }
}

#[tokio::test]
async fn loader_runs_once_per_lifetime() {
    let test = TestStore::new();
    let rates = Rates::new(test.store()).unwrap();
    for _ in 0..5 {
        rates.rate("EUR").await;
    }
    assert_eq!(rates.asked.load(Ordering::Relaxed), 1);
    test.advance(TTL - Duration::from_millis(1));
    rates.rate("EUR").await;
    assert_eq!(rates.asked.load(Ordering::Relaxed), 1, "still fresh");
    test.advance(Duration::from_millis(1));
    rates.rate("EUR").await;
    assert_eq!(rates.cache.stats().loads, 2);
}

#[tokio::test]
async fn failing_store_costs_loads_only() {
    let test = TestStore::new();
    let rates = Rates::new(test.store()).unwrap();
    test.fail(true);
    assert_eq!(*rates.rate("EUR").await, 1.25);
    assert!(rates.cache.invalidate("EUR").await.is_err());
    test.inject(|operation| match operation {
        Operation::Store(_) => Some(Fault::Fail(ErrorKind::Timeout)),
        _ => None,
    });
    rates.rate("EUR").await;
    rates.rate("EUR").await;
    assert_eq!(rates.asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn processes_share_invalidations() {
    let test = TestStore::new();
    let (mine, theirs) = (Rates::new(test.store()), Rates::new(&test.another_store()));
    let (mine, theirs) = (mine.unwrap(), theirs.unwrap());
    mine.rate("EUR").await;
    theirs.rate("EUR").await;
    assert_eq!(theirs.asked.load(Ordering::Relaxed), 0);
    theirs.cache.invalidate("EUR").await.unwrap();
    mine.rate("EUR").await;
    assert_eq!(mine.asked.load(Ordering::Relaxed), 2);
}
