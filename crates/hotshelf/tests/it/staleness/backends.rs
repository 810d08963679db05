//! The same on every backend, in real time: values are made stale by a call.

use std::time::Duration;

use hotshelf::{Cache, NearOptions, RedisOptions, Store};
use hotshelf_testkit::RedisCluster;

use super::{MINUTE, Source, numbers};
use crate::support::{on_tokio, pause, server};

async fn until_stored(cache: &Cache<u32>, expected: u32) {
    for _ in 0..1_000 {
        if cache.get("k").await.as_deref() == Some(&expected) {
            return;
        }
        pause(Duration::from_millis(5)).await;
    }
    panic!("never stored: {:?}", cache.stats());
}

async fn stale_values_are_served_and_refreshed(one: Store, other: Store) {
    let windows = |store: &Store| {
        numbers(store).stale_while_revalidate(MINUTE).stale_if_error(2 * MINUTE).build().unwrap()
    };
    let [one, other] = [&one, &other].map(windows);
    let source = Source::default();
    source.set(1);
    source.get_apart(&one).await.unwrap();
    source.set(2);
    until_stored(&other, 1).await;
    assert!(one.expire("k").await.unwrap());
    assert_eq!(source.get_apart(&one).await, Ok(1), "served while it is loaded");
    until_stored(&one, 2).await;
    until_stored(&other, 2).await;
    assert_eq!((source.loads(), one.stats().refreshes), (2, 1));

    source.fail(true);
    assert!(other.expire("k").await.unwrap());
    while one.get("k").await.is_some() {
        pause(Duration::from_millis(5)).await;
    }
    for cache in [&one, &other, &one] {
        assert_eq!(source.get(cache).await, Ok(2), "served since the load fails");
    }
    assert_eq!(source.loads(), 3, "one load in 30 s, over all processes");

    one.invalidate("k").await.unwrap();
    assert!(source.get(&one).await.is_err(), "an invalidated value is never served");
    source.fail(false);
    assert_eq!(source.get(&one).await, Ok(2));
}

async fn held_keys_are_not_stored(store: Store) {
    let cache = store.cache::<u32>("held").hold(MINUTE).build().unwrap();
    assert_eq!(*cache.get_or_insert_with("k", async || 1).await, 1);
    cache.invalidate("k").await.unwrap();
    assert_eq!(*cache.get_or_insert_with("k", async || 2).await, 2);
    assert!(!cache.insert("k", 3).await);
    assert_eq!(cache.get("k").await, None);
}

#[test]
fn in_memory() {
    on_tokio(async {
        let store = Store::memory();
        stale_values_are_served_and_refreshed(store.clone(), store.clone()).await;
        held_keys_are_not_stored(store).await;
    });
}

#[test]
fn on_redis() {
    let server = server();
    on_tokio(async {
        let connect = async || Store::connect(&server.url()).await.unwrap();
        stale_values_are_served_and_refreshed(connect().await, connect().await).await;
        held_keys_are_not_stored(connect().await).await;
    });
}

#[test]
fn near_redis() {
    let server = server();
    on_tokio(async {
        let connect = || {
            let options = RedisOptions::from_url(&server.url()).unwrap();
            Store::builder().redis(options).near(NearOptions::default()).build().unwrap()
        };
        stale_values_are_served_and_refreshed(connect(), connect()).await;
        held_keys_are_not_stored(connect()).await;
    });
}

#[test]
fn in_a_cluster() {
    let cluster = RedisCluster::start().unwrap();
    on_tokio(async {
        let connect = async || Store::connect(&cluster.url()).await.unwrap();
        stale_values_are_served_and_refreshed(connect().await, connect().await).await;
        held_keys_are_not_stored(connect().await).await;
    });
}
