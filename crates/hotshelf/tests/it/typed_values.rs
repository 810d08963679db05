//! Decoded values in memory.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use hotshelf::codec::{BoxError, Bytes, Codec};
use hotshelf::{Cache, Store};
use serde::{Deserialize, Deserializer, Serialize};

static DECODED: AtomicUsize = AtomicUsize::new(0);

/// A value that counts how often it is decoded.
#[derive(Debug, PartialEq, Serialize)]
struct Counted(u32);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(decoder: D) -> Result<Self, D::Error> {
        DECODED.fetch_add(1, Ordering::Relaxed);
        u32::deserialize(decoder).map(Self)
    }
}

/// The only test that decodes `Counted`.
#[tokio::test]
async fn value_in_memory_is_decoded_once() {
    let store = Store::memory();
    let cache = store.cache::<Counted>("counted").build().unwrap();
    let tagged = store.cache::<Counted>("tagged").tags(|_| ["all"]).build().unwrap();
    for cache in [&cache, &tagged] {
        let before = DECODED.load(Ordering::Relaxed);
        let load = async || Counted(7);
        assert_eq!(*cache.get_or_insert_with("k", load).await, Counted(7));
        let first = cache.get("k").await.unwrap();
        let again = cache.get_or_insert_with("k", async || Counted(0)).await;
        let many = cache.get_many(["k", "k"]).await;
        assert!(Arc::ptr_eq(&first, &again));
        assert!(many.iter().flatten().all(|value| Arc::ptr_eq(&first, value)));
        assert_eq!(DECODED.load(Ordering::Relaxed), before + 1);
        assert_eq!(cache.stats().hits, 4);

        // Another entry is another value.
        cache.insert("k", Counted(8)).await;
        assert_eq!(*cache.get("k").await.unwrap(), Counted(8));
        cache.invalidate("k").await.unwrap();
        assert_eq!(cache.get("k").await, None);
    }
    tagged.get_or_insert_with("k", async || Counted(9)).await;
    assert!(tagged.get("k").await.is_some());
    tagged.invalidate_tag("all").await.unwrap();
    assert_eq!(tagged.get("k").await, None);
}

static OTHERS: OnceLock<Cache<u32>> = OnceLock::new();

/// A value whose destructor reads the store that holds it.
struct Reading(u32);

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(others) = OTHERS.get() {
            let reading = others.get(self.0);
            drop(std::pin::pin!(reading).now_or_never());
        }
    }
}

struct LargeInMemory;

impl Codec<Reading> for LargeInMemory {
    fn encode(&self, value: &Reading) -> Result<Bytes, BoxError> {
        Ok(Bytes::copy_from_slice(&value.0.to_be_bytes()))
    }

    fn decode(&self, encoded: &Bytes) -> Result<Reading, BoxError> {
        Ok(Reading(u32::from_be_bytes(encoded[..].try_into()?)))
    }

    fn decoded_size(&self, encoded: &Bytes) -> usize {
        if encoded[0] == 0 { 2_000 } else { 500_000 }
    }
}

/// One large entry evicts many, whose values must not be dropped under the lock.
#[tokio::test]
async fn destructors_of_evicted_values_may_read_the_store() {
    let store = Store::builder().memory_capacity(1 << 20).build().unwrap();
    let others = OTHERS.get_or_init(|| store.cache("others").build().unwrap());
    let cache = store.cache("reading").codec(LargeInMemory).build().unwrap();
    for key in 0..400 {
        others.insert(key, key).await;
        cache.insert(key, Reading(key)).await;
        cache.get(key).await;
        cache.get(key.saturating_sub(1)).await;
    }
    for key in 1_000..1_010 {
        cache.insert(key, Reading(key << 16)).await;
        assert!(cache.get(key).await.is_some());
    }
    cache.insert_many((0..10).map(|key| (key, Reading(key)))).await;
    cache.invalidate_all().await.unwrap();
}

/// Keys, tags and values are written in buffers of the thread, which may be gone.
#[test]
fn calls_at_the_end_of_a_thread_work() {
    struct AtEnd(Cell<Option<Cache<u32>>>);

    impl Drop for AtEnd {
        fn drop(&mut self) {
            if let Some(cache) = self.0.take() {
                let entry = cache.entry("k").tags(["a"]);
                std::pin::pin!(entry.insert(7)).now_or_never().unwrap_or_default();
                SEEN.store(cache.wire_key("k").as_str().len(), Ordering::SeqCst);
            }
        }
    }

    static SEEN: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static AT_END: AtEnd = const { AtEnd(Cell::new(None)) };
    }
    let cache = Store::memory().cache::<u32>("numbers").build().unwrap();
    std::thread::spawn(move || {
        // Destroyed after the buffers, which are made later.
        AT_END.with(|at_end| at_end.0.set(Some(cache.clone())));
        let inserting = std::pin::pin!(cache.entry("k").tags(["a"]).insert(7));
        inserting.now_or_never().unwrap_or_default();
    })
    .join()
    .unwrap();
    assert!(SEEN.load(Ordering::SeqCst) > 0);
}
