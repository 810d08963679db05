//! The round trips of calls.

use std::time::Duration;

use hotshelf::Store;
use hotshelf_testkit::Relay;

use crate::support::{on_tokio, server};

/// The round trips are the larger part of each call's time.
#[test]
fn calls_cost_documented_round_trips() {
    on_tokio(async {
        let server = server();
        let relay = Relay::to(server.port());
        let options = hotshelf::RedisOptions::from_url(&relay.url()).unwrap();
        let timeout = Duration::from_secs(10);
        let options = options.connect_timeout(timeout).read_timeout(timeout).store_timeout(timeout);
        let store = Store::builder().redis(options).build().unwrap();
        let cache = store.cache::<u32>("n").backend_budget(timeout).build().unwrap();
        let load = async |key, tags: &[&str]| {
            *cache.entry(key).tags(tags).or_insert_with(async || 1).await
        };
        // Connecting and loading the scripts are not counted.
        load("first", &["t"]).await;
        cache.insert("first", 2).await;
        let _connecting = relay.take();

        load("plain", &[]).await;
        assert_eq!(relay.take(), 3, "a miss: read, lease, store");
        load("plain", &[]).await;
        assert_eq!(relay.take(), 1, "a hit");
        load("tagged", &["t", "u"]).await;
        assert_eq!(relay.take(), 3, "a miss of an entry with tags");
        load("tagged", &["t", "u"]).await;
        assert_eq!(relay.take(), 1, "a hit with its tags");
        cache.get("tagged").await;
        assert_eq!(relay.take(), 2, "a hit with tags that the caller doesn't name");
        cache.get_many(["plain", "tagged", "none"]).await;
        assert_eq!(relay.take(), 2, "many hits, one of them with such tags");
        cache.insert_many((0..100_u32).map(|key| (key, key))).await;
        assert_eq!(relay.take(), 2, "many inserts");
        drop(
            cache.write_through("k", async || Ok::<_, std::convert::Infallible>(1)).await.unwrap(),
        );
        assert_eq!(relay.take(), 2, "a write");
        let write = async || Ok::<_, std::convert::Infallible>((0..100).collect());
        drop(cache.write_through_many(0..100_u32, write).await.unwrap());
        assert_eq!(relay.take(), 2, "many writes");
        let write = async || Ok::<_, std::convert::Infallible>(1);
        drop(cache.entry("k").tags(["t"]).write_through(write).await.unwrap());
        assert_eq!(relay.take(), 2, "a write with tags");
        cache.invalidate("plain").await.unwrap();
        assert_eq!(relay.take(), 1, "an invalidation");
        cache.invalidate_many(0..100_u32).await.unwrap();
        assert_eq!(relay.take(), 1, "many invalidations");
        store.invalidate_tags(["t", "u"]).await.unwrap();
        assert_eq!(relay.take(), 1, "an invalidation by tags");
    });
}

#[test]
fn stale_values_and_batches_cost_documented_round_trips() {
    on_tokio(async {
        let server = server();
        let relay = Relay::to(server.port());
        let options = hotshelf::RedisOptions::from_url(&relay.url()).unwrap();
        let long = Duration::from_secs(10);
        let options = options.connect_timeout(long).read_timeout(long).store_timeout(long);
        let store = Store::builder().redis(options).build().unwrap();
        let builder = store.cache::<u64>("n").backend_budget(long).stale_if_error(long * 360);
        let cache = builder.stale_while_revalidate(long).hold(Duration::ZERO).build().unwrap();
        let plain = store.cache::<u64>("p").backend_budget(long).build().unwrap();
        let many = async |cache: &hotshelf::Cache<u64>, keys: std::ops::Range<u64>| {
            let load = async |keys: Vec<u64>| {
                Ok::<Vec<(u64, u64)>, &str>(keys.into_iter().map(|key| (key, key)).collect())
            };
            cache.get_or_load_many(keys, load).await.unwrap()
        };
        // Connecting and loading the scripts are not counted.
        many(&cache, 0..2).await;
        cache.insert("first", 1).await;
        cache.expire(0).await.unwrap();
        let fail = async || Err::<u64, _>("down");
        cache.entry("failing").or_try_insert_with(fail).await.unwrap_err();
        let _connecting = relay.take();

        many(&plain, 0..90).await;
        assert_eq!(relay.take(), 3, "a batch: read, leases, fills");
        many(&plain, 0..90).await;
        assert_eq!(relay.take(), 1, "a batch of hits");
        many(&plain, 0..100).await;
        assert_eq!(relay.take(), 3, "a batch of which ten are missing");
        many(&cache, 0..1).await;
        let _refreshed = relay.take();
        cache.insert("k", 1).await;
        assert_eq!(relay.take(), 2, "an insert");
        cache.expire("k").await.unwrap();
        assert_eq!(relay.take(), 2, "an expiry");
        cache.get_or_insert_with("k", async || 2).await;
        assert_eq!(relay.take(), 3, "a refresh in the call: read, lease, store");
        cache.get_or_insert_with("k", async || 3).await;
        assert_eq!(relay.take(), 1, "a hit with windows");
        cache.expire("k").await.unwrap();
        let _expiry = relay.take();
        assert_eq!(*cache.entry("k").or_try_insert_with(fail).await.unwrap(), 2);
        assert_eq!(relay.take(), 3, "a failing refresh: read, lease, mark and read");
        assert_eq!(*cache.entry("k").or_try_insert_with(fail).await.unwrap(), 2);
        assert_eq!(relay.take(), 1, "a stale value whose load isn't repeated");
        cache.invalidate("k").await.unwrap();
        assert_eq!(relay.take(), 1, "an invalidation");
    });
}
