//! Reading and writing one entry.

use std::time::Duration;

use hotshelf::{ErrorKind, Jitter, Key, KeyLayout, Lookup, Remaining, Store};
use serde::{Deserialize, Serialize};

use crate::support::{Loads, on_each_backend, on_tokio, server, simulated};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Product {
    id: u32,
    name: String,
}

fn lamp() -> Product {
    Product { id: 1, name: "Lamp".into() }
}

#[test]
fn inserted_value_is_read() {
    on_each_backend(async |store: Store| {
        let products = store.cache::<Product>("products").build().unwrap();
        assert_eq!(products.get(1).await, None);
        assert_eq!(products.remaining(1).await, Remaining::Missing);

        products.fallible().insert(1, lamp()).await.unwrap();
        assert_eq!(products.get(1).await.as_deref(), Some(&lamp()));
        assert!(products.contains_key("1").await && !products.contains_key("2").await);
        let Remaining::After(left) = products.remaining(1).await else { panic!("no time left") };
        assert!((260..=330).contains(&left.as_secs()), "{left:?}");

        assert_eq!(products.invalidate(1).await.unwrap().removed(), 1);
        assert_eq!(products.lookup(1).await, Lookup::Missing);
    });
}

#[test]
fn loaded_value_is_stored_and_read() {
    on_each_backend(async |store: Store| {
        let texts = store.cache::<String>("texts").build().unwrap();
        let loads = Loads::default();
        for _ in 0..3 {
            let text = texts.get_or_insert_with("k", async || loads.load("value").await).await;
            assert_eq!(*text, "value");
        }
        assert_eq!(loads.count(), 1);
        let stats = texts.stats();
        assert_eq!((stats.hits, stats.misses, stats.loads, stats.errors), (2, 1, 1, 0));
    });
}

#[test]
fn loader_error_is_returned_not_stored() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let failed = numbers.get_or_try_insert_with("k", async || "x".parse::<u32>()).await;
        let expected = "x".parse::<u32>().unwrap_err();
        assert_eq!(failed.unwrap_err().try_unwrap().unwrap(), expected);

        let loaded = numbers.get_or_try_insert_with("k", async || "7".parse::<u32>()).await;
        assert_eq!(*loaded.unwrap(), 7);
        assert_eq!(numbers.stats().load_errors, 1);
    });
}

#[test]
fn parameters_belong_to_the_key() {
    on_each_backend(async |store: Store| {
        let pages = store.cache::<u32>("pages").build().unwrap();
        for page in [1, 2, 1, 2] {
            let entry = pages.entry("list").params(&[("page", page)]).unwrap();
            assert_eq!(*entry.or_insert_with(async || page * 10).await, page * 10);
        }
        let key = Key::new("list").with_params(&[("page", 2)]).unwrap();
        assert_eq!(pages.get(&key).await.as_deref(), Some(&20));
        assert_eq!(pages.stats().loads, 2);
        let bytes = pages.entry("list").params(&std::collections::BTreeMap::from([((1, 2), 3)]));
        assert_eq!(bytes.unwrap_err().kind(), ErrorKind::Key);
    });
}

#[test]
fn entry_is_json_at_plain_key() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let products = store.cache::<Product>("products").prefix("api").build().unwrap();
        products.get_or_insert_with(1, async || lamp()).await;
        let raw = server.cli(&["GET", "api:v1:products:1"]);
        assert_eq!(serde_json::from_str::<Product>(&raw).unwrap(), lamp());
        assert_eq!(raw.trim_end(), r#"{"id":1,"name":"Lamp"}"#);
        assert_eq!(server.cli(&["KEYS", "*"]), "api:v1:products:1", "no lease is left behind");
    });
}

#[test]
fn value_of_other_type_is_replaced() {
    on_each_backend(async |store: Store| {
        let texts = store.cache::<String>("things").build().unwrap();
        // In fastapi-rc's layout several types may share a name.
        let products = store.cache::<Product>("things").key_layout(KeyLayout::FastapiRc);
        let products = products.build().unwrap();
        texts.fallible().insert(1, "no product".to_owned()).await.unwrap();

        assert_eq!(products.get(1).await, None);
        assert_eq!(products.stats().foreign, 1);
        let loaded = products.get_or_insert_with(1, async || lamp()).await;
        assert_eq!(*loaded, lamp());
        assert_eq!(products.get(1).await.as_deref(), Some(&lamp()));
    });
}

#[test]
fn corrupt_entries_are_replaced() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let products = store.cache::<Product>("products").build().unwrap();
        for corrupt in ["", "{", "\u{0}", "{\"id\":1}", "[1,2"] {
            server.command(&["SET", "cache:v1:products:1", corrupt]);
            assert_eq!(*products.get_or_insert_with(1, async || lamp()).await, lamp());
            assert!(products.contains_key(1).await, "{corrupt:?}");
        }
        assert_eq!(products.stats().foreign, 5);
    });
}

#[test]
fn entries_expire_after_their_own_ttl() {
    let (runtime, _, texts) = simulated(1);
    runtime.block_on(async {
        let short = Duration::from_millis(500);
        texts.entry("short").time_to_live(short).insert("s".to_owned()).await;
        texts.insert("default", "d".to_owned()).await;
        assert_eq!(texts.remaining("short").await, Remaining::After(short));

        runtime.advance(short);
        assert_eq!(texts.get("short").await, None);
        runtime.advance(Duration::from_secs(299));
        assert!(texts.contains_key("default").await);
        runtime.advance(short);
        assert!(!texts.contains_key("default").await);
    });
}

#[test]
fn lifetimes_are_spread_by_a_tenth() {
    let (runtime, store, _) = simulated(7);
    runtime.block_on(async {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let mut lifetimes = Vec::new();
        for number in 0..1000 {
            numbers.insert(number, number).await;
            let Remaining::After(left) = numbers.remaining(number).await else { panic!("gone") };
            lifetimes.push(left.as_millis());
        }
        let (shortest, longest) =
            (lifetimes.iter().min().unwrap(), lifetimes.iter().max().unwrap());
        assert!((270_000..271_000).contains(shortest), "{shortest}");
        assert!((329_000..=330_000).contains(longest), "{longest}");
    });
}

#[test]
fn zero_ttl_stores_nothing() {
    on_each_backend(async |store: Store| {
        assert!(store.cache::<u32>("zero").time_to_live(Duration::ZERO).build().is_err());
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let error =
            numbers.entry(1).time_to_live(Duration::ZERO).fallible().insert(1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);

        let entry = numbers.entry(1).time_to_live(Duration::ZERO);
        assert_eq!(*entry.or_insert_with(async || 7).await, 7);
        assert!(!numbers.contains_key(1).await);
        assert_eq!(numbers.stats().errors, 2);
    });
}

#[test]
fn large_value_is_returned_not_stored() {
    on_each_backend(async |store: Store| {
        let texts = store.cache::<String>("texts").max_value_bytes(10).build().unwrap();
        let long = "x".repeat(100);
        assert_eq!(*texts.get_or_insert_with("k", async || long.clone()).await, long);
        assert!(!texts.contains_key("k").await);

        texts.insert("k", "short".to_owned()).await;
        let error = texts.fallible().insert("k", long).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert_eq!(texts.get("k").await, None, "the older value is outdated");
        assert_eq!(texts.stats().unstorable, 2);
    });
}

#[test]
fn reload_replaces_and_bypass_ignores_entry() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        numbers.insert("k", 1).await;

        assert_eq!(*numbers.entry("k").bypass().or_insert_with(async || 2).await, 2);
        assert_eq!(numbers.get("k").await.as_deref(), Some(&1));

        assert_eq!(*numbers.entry("k").reload().or_insert_with(async || 3).await, 3);
        assert_eq!(numbers.get("k").await.as_deref(), Some(&3));
    });
}

#[test]
fn unstored_reload_removes_outdated_entry() {
    on_each_backend(async |store: Store| {
        let texts = store.cache::<String>("texts").max_value_bytes(10).build().unwrap();
        let old = || texts.insert("k", "old".to_owned());

        old().await;
        let gone = async || Ok::<_, std::convert::Infallible>(None);
        assert_eq!(texts.entry("k").reload().or_try_load_optional(gone).await.unwrap(), None);
        assert_eq!(texts.get("k").await, None);

        old().await;
        texts.entry("k").reload().or_insert_with(async || "much too long".to_owned()).await;
        assert_eq!(texts.get("k").await, None);

        old().await;
        let entry = texts.entry("k").reload().time_to_live(Duration::ZERO);
        entry.or_insert_with(async || "new".to_owned()).await;
        assert_eq!(texts.get("k").await, None);
    });
}

#[test]
fn loader_may_borrow_its_environment() {
    on_each_backend(async |store: Store| {
        let texts = store.cache::<String>("texts").build().unwrap();
        let (source, mut asked) = (String::from("borrowed"), 0);
        let load = async || {
            asked += 1;
            tokio::task::yield_now().await;
            source.clone()
        };
        assert_eq!(*texts.get_or_insert_with("k", load).await, source);
        assert_eq!(asked, 1);
    });
}

#[test]
fn any_text_is_a_key() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let texts = ["a\nb", "a:b", "a,b", "", "{", "é", "%0A"];
        for (number, text) in (0..).zip(texts) {
            assert_eq!(*numbers.get_or_insert_with(text, async || number).await, number);
        }
        assert_eq!(*numbers.get_or_insert_with(("a", "b"), async || 7).await, 7);
        let read = numbers.get_many(texts).await;
        let read: Vec<Option<u32>> = read.iter().map(|value| value.as_deref().copied()).collect();
        assert_eq!(read, (0..7).map(Some).collect::<Vec<_>>());
        assert_eq!(numbers.wire_key("a:b").as_str(), "cache:v1:numbers:a%3Ab");
        assert_eq!(numbers.stats().errors, 0);
    });
}

#[test]
fn entry_methods_match_the_cache() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let entry = || numbers.entry("k").tags(["t"]);
        assert!(entry().insert(1).await);
        assert_eq!(entry().get().await.as_deref(), Some(&1));
        assert_eq!(entry().lookup().await, Lookup::Present(1.into()));
        assert!(entry().contains_key().await && entry().fallible().contains_key().await.unwrap());
        assert!(matches!(entry().remaining().await, Remaining::After(_)));
        assert_eq!(entry().bypass().get().await, None);
        assert_eq!(entry().reload().get().await, None);
        assert_eq!(entry().invalidate().await.unwrap().removed(), 1);
        assert_eq!(entry().fallible().get().await.unwrap(), None);
        assert_eq!(entry().tags([""]).fallible().get().await.unwrap_err().kind(), ErrorKind::Key);
    });
}

#[test]
fn results_clone_without_their_values() {
    struct NoClone;
    let lookup = Lookup::Present(std::sync::Arc::new(NoClone));
    assert!(lookup.clone().present().is_some() && lookup.present().is_some());
}

#[test]
fn load_can_be_spawned() {
    on_tokio(async {
        let numbers = Store::memory().cache::<u32>("n").jitter(Jitter::NONE).build().unwrap();
        let task = tokio::spawn(async move {
            let text = String::from("5");
            let load = async || {
                tokio::task::yield_now().await;
                text.parse::<u32>()
            };
            numbers.get_or_try_insert_with("k", load).await.map(|number| *number)
        });
        assert_eq!(task.await.unwrap().unwrap(), 5);
    });
}
