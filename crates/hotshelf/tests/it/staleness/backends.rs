//! The same on every backend, in real time: values are made stale by a call.

use std::sync::Arc;
use std::time::Duration;

use hotshelf::{Cache, LoadContext, NearOptions, RedisOptions, Store};
use hotshelf_testkit::{Direction, Proxy, RedisCluster};

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

/// A value that its loader finds unchanged is not sent again.
#[test]
fn unchanged_value_stays_where_it_is() {
    on_tokio(async {
        let server = server();
        for near in [false, true] {
            let proxy = Proxy::start(server.port()).unwrap();
            let mut builder = Store::builder().redis(RedisOptions::from_url(&proxy.url()).unwrap());
            if near {
                builder = builder.near(NearOptions::default());
            }
            let store = builder.build().unwrap();
            let pages = store.cache::<String>("pages").time_to_live(MINUTE).tags(|_| ["all"]);
            let pages = pages.stale_if_error(MINUTE).build().unwrap();
            for length in [10_000, 300_000] {
                let page = "x".repeat(length);
                pages.insert("k", page.clone()).await;
                let sent = || proxy.bytes(Direction::ToServer);
                for round in 0..3 {
                    while pages.get("k").await.is_none() {
                        pause(Duration::from_millis(5)).await;
                    }
                    assert!(pages.expire("k").await.unwrap());
                    while pages.get("k").await.is_some() {
                        pause(Duration::from_millis(5)).await;
                    }
                    let before = sent();
                    let load = async |context: LoadContext<String>| {
                        Ok::<_, ()>(Arc::clone(context.previous().expect("it is stale")))
                    };
                    pages.entry("k").or_load(load).await.unwrap();
                    // The scripts are sent once.
                    let sent = sent() - before;
                    assert!(round == 0 || sent < 2_000, "{sent} bytes");
                }
                assert!(pages.contains_key("k").await);
                assert_eq!(*pages.get("k").await.unwrap(), page);
                store.invalidate_tag("all").await.unwrap();
                assert!(!pages.contains_key("k").await);
            }
        }
    });
}

/// The key may have become one of another type meanwhile.
#[test]
fn unchanged_value_replaces_what_is_no_entry() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let pages = store.cache::<String>("pages").stale_if_error(MINUTE).build().unwrap();
        let (key, page) = (pages.wire_key("k"), "x".repeat(1_000));
        pages.insert("k", page.clone()).await;
        assert!(pages.expire("k").await.unwrap());
        while pages.get("k").await.is_some() {
            pause(Duration::from_millis(5)).await;
        }
        let load = async |context: LoadContext<String>| {
            server.command(&["DEL", key.as_str()]);
            server.command(&["HSET", key.as_str(), "a", "b"]);
            Ok::<_, ()>(Arc::clone(context.previous().expect("it is stale")))
        };
        pages.entry("k").or_load(load).await.unwrap();
        assert_eq!(pages.get("k").await.as_deref(), Some(&page));
    });
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
