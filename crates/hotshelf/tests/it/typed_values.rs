//! Decoded values in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hotshelf::Store;
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
