//! Cached negatives.

use std::convert::Infallible;
use std::time::Duration;

use hotshelf::{Cache, Jitter, KeyLayout, Lookup, Store};

use crate::support::{Loads, on_each_backend, on_tokio, server, simulated};

const SHORT: Duration = Duration::from_secs(30);

async fn find(texts: &Cache<String>, key: &str, loads: &Loads) -> Option<String> {
    let load = async || {
        loads.load("").await;
        Ok::<_, Infallible>(None)
    };
    texts.entry(key).or_try_load_optional(load).await.unwrap().map(|text| (*text).clone())
}

#[test]
fn negative_is_cached() {
    on_each_backend(async |store: Store| {
        let texts = store.cache::<String>("texts").negative_ttl(SHORT).build().unwrap();
        let loads = Loads::default();
        assert_eq!(find(&texts, "k", &loads).await, None);
        assert_eq!(find(&texts, "k", &loads).await, None);
        assert_eq!(loads.count(), 1);
        assert_eq!(texts.lookup("k").await, Lookup::Absent);
        assert_eq!(texts.get("k").await, None);
        assert!(!texts.contains_key("k").await);
    });
}

#[test]
fn negative_needs_negative_ttl() {
    on_each_backend(async |store: Store| {
        let texts = store.cache::<String>("texts").build().unwrap();
        let loads = Loads::default();
        find(&texts, "k", &loads).await;
        find(&texts, "k", &loads).await;
        assert_eq!(loads.count(), 2);
        assert_eq!(texts.lookup("k").await, Lookup::Missing);
    });
}

#[test]
fn negative_expires_after_its_ttl() {
    let (runtime, store, _) = simulated(1);
    runtime.block_on(async {
        let texts = store.cache("t").negative_ttl(SHORT).jitter(Jitter::NONE).build().unwrap();
        let loads = Loads::default();
        find(&texts, "k", &loads).await;
        runtime.advance(SHORT - Duration::from_millis(1));
        find(&texts, "k", &loads).await;
        assert_eq!(loads.count(), 1);
        runtime.advance(Duration::from_millis(1));
        find(&texts, "k", &loads).await;
        assert_eq!(loads.count(), 2);
    });
}

#[test]
fn negative_is_replaced_or_invalidated() {
    on_each_backend(async |store: Store| {
        let texts = store.cache::<String>("texts").negative_ttl(SHORT).build().unwrap();
        let loads = Loads::default();
        find(&texts, "k", &loads).await;
        let value = texts.get_or_insert_with("k", async || "v".to_owned()).await;
        assert_eq!(*value, "v", "a call without optional loader accepts no negative");
        assert_eq!(find(&texts, "k", &loads).await.as_deref(), Some("v"));

        texts.invalidate("k").await.unwrap();
        find(&texts, "k", &loads).await;
        texts.invalidate("k").await.unwrap();
        assert_eq!(texts.lookup("k").await, Lookup::Missing);
    });
}

#[test]
fn negative_keeps_entry_of_other_cache() {
    on_each_backend(async |store: Store| {
        // In fastapi-rc's layout several types may share a name.
        let pages = store.cache::<Vec<u32>>("things").key_layout(KeyLayout::FastapiRc);
        let pages = pages.build().unwrap();
        let texts = store.cache::<String>("things").key_layout(KeyLayout::FastapiRc);
        let texts = texts.negative_ttl(SHORT).build().unwrap();
        let loads = Loads::default();
        pages.insert("list:1", vec![1]).await;
        assert_eq!(find(&texts, "list:1", &loads).await, None);
        assert_eq!(pages.get("list:1").await.as_deref(), Some(&vec![1]));

        // Conversely, the page replaces the negative.
        find(&texts, "list:2", &loads).await;
        assert_eq!(*pages.get_or_insert_with("list:2", async || vec![2]).await, [2]);
        assert!(pages.contains_key("list:2").await);
    });
}

#[test]
fn negative_reload_keeps_plain_entry() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let texts = store.cache::<String>("things").negative_ttl(SHORT).build().unwrap();
        server.command(&["SET", "cache:v1:things:k", "[1,2]"]);
        let none = async || Ok::<_, Infallible>(None);
        for key in ["k", "nothing"] {
            texts.entry(key).reload().or_try_load_optional(none).await.unwrap();
        }
        assert_eq!(server.cli(&["GET", "cache:v1:things:k"]), "[1,2]");
        assert_eq!(server.cli(&["EXISTS", "hs:l:{cache:v1:things:k}"]), "0", "no lease is left");
        assert_eq!(texts.lookup("nothing").await, Lookup::Absent);
    });
}

#[test]
fn null_value_is_no_negative() {
    on_each_backend(async |store: Store| {
        let maybe = store.cache::<Option<u32>>("maybe").negative_ttl(SHORT).build().unwrap();
        assert_eq!(*maybe.get_or_insert_with("k", async || None).await, None);
        assert_eq!(maybe.lookup("k").await, Lookup::Present(None.into()));
    });
}

#[test]
fn plain_clients_read_negatives_as_null() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let texts = store.cache::<String>("texts").negative_ttl(SHORT).build().unwrap();
        find(&texts, "k", &Loads::default()).await;
        let raw = server.cli(&["GET", "cache:v1:texts:k"]);
        assert_eq!(serde_json::from_str::<Option<String>>(&raw).unwrap(), None);
    });
}
