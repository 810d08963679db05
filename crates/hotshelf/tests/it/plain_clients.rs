//! Entries of plain clients, and of caches that write plain entries.

use std::convert::Infallible;
use std::time::Duration;

use hotshelf::{Foreign, Lookup, Store};

use crate::support::{on_tokio, server};

#[test]
fn accepted_plain_entries_are_hits() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let strict = store.cache::<u32>("n").build().unwrap();
        let accepting = store.cache::<u32>("m").foreign(Foreign::Accept).build().unwrap();
        let plain = store.cache::<u32>("p").strict_plain(true).build().unwrap();
        for name in ["n", "m", "p"] {
            server.command(&["SET", &format!("cache:v1:{name}:k"), "5"]);
        }
        assert_eq!(strict.get("k").await, None);
        assert_eq!(strict.stats().foreign, 1);
        assert_eq!(accepting.get("k").await.as_deref(), Some(&5));
        assert_eq!(plain.get("k").await.as_deref(), Some(&5));

        assert_eq!(*strict.get_or_insert_with("k", async || 6).await, 6);
        assert_eq!(server.cli(&["GET", "cache:v1:n:k"]).trim_end(), "6");
        plain.insert("k", 7).await;
        assert_eq!(server.cli(&["GET", "cache:v1:p:k"]), "7");
    });
}

/// An entry of a plain client carries no tags, so no invalidation by tag would reach it.
#[test]
fn plain_entry_misses_with_tags() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let cache = store.cache::<u32>("n").foreign(Foreign::Accept).build().unwrap();
        let load = async |value| *cache.entry("k").tags(["t"]).or_insert_with(async || value).await;
        server.command(&["SET", "cache:v1:n:k", "5"]);
        assert_eq!(load(6).await, 6);
        assert_eq!(load(7).await, 6, "it was stored");
        store.invalidate_tag("t").await.unwrap();
        assert_eq!(load(8).await, 8);

        server.command(&["SET", "cache:v1:n:k", "5"]);
        assert_eq!(*cache.get_or_insert_with("k", async || 9).await, 5, "it names no tags");
    });
}

#[test]
fn plain_entry_misses_with_epoch() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let builder = store.cache::<u32>("n").epoch(true);
        let cache = builder.foreign(Foreign::Accept).build().unwrap();
        server.command(&["SET", "cache:v1:n:k", "5"]);
        assert_eq!(cache.get("k").await, None);
        assert_eq!(cache.get_many(["k"]).await, [None]);
        assert_eq!(*cache.get_or_insert_with("k", async || 6).await, 6);
        assert_eq!(cache.get("k").await.as_deref(), Some(&6));
        cache.invalidate_all().await.unwrap();
        assert_eq!(cache.get("k").await, None);
    });
}

/// During a rollout, processes with and without `strict_plain` share a cache.
#[test]
fn plain_cache_verifies_tags_of_others() {
    on_tokio(async {
        let server = server();
        let url = server.url();
        let (tagged, plain) =
            (Store::connect(&url).await.unwrap(), Store::connect(&url).await.unwrap());
        let negatives = Duration::from_secs(30);
        let tagged_numbers = tagged.cache::<u32>("n").negative_ttl(negatives).build().unwrap();
        let numbers = plain.cache::<u32>("n").strict_plain(true).build().unwrap();

        tagged_numbers.entry("k").tags(["t"]).insert(1).await;
        let none = async || Ok::<_, Infallible>(None);
        tagged_numbers.entry("none").or_try_load_optional(none).await.unwrap();
        assert_eq!(numbers.get("k").await.as_deref(), Some(&1));
        assert_eq!(numbers.lookup("none").await, Lookup::Absent);

        tagged.invalidate_tag("t").await.unwrap();
        assert_eq!(numbers.get("k").await, None);
        assert_eq!(numbers.stats().foreign, 0, "it belongs to this cache");
        assert_eq!(*numbers.get_or_insert_with("k", async || 2).await, 2);
        assert_eq!(server.cli(&["GET", "cache:v1:n:k"]), "2");
    });
}
