//! Invalidations, in particular during a load.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt, join, select};
use hotshelf::{ErrorKind, Pattern, Store};
use hotshelf_core::Runtime;
use hotshelf_memory::MemoryBackend;
use hotshelf_testkit::{SimRuntime, Slow};

use crate::support::{Loads, SECOND, on_each_backend, on_tokio, server, simulated};

#[test]
fn invalidation_refuses_load_in_flight() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let database = Cell::new(1);
        let loaded = numbers.get_or_insert_with("k", async || {
            let row = database.get();
            database.set(2);
            numbers.invalidate("k").await.unwrap();
            row
        });
        assert_eq!(*loaded.await, 1, "the caller had asked before");
        assert_eq!(numbers.get("k").await, None);
        assert_eq!(numbers.stats().refused, 1);
        assert_eq!(*numbers.get_or_insert_with("k", async || database.get()).await, 2);
    });
}

#[test]
fn later_caller_ignores_invalidated_load() {
    let (runtime, _, texts) = simulated(1);
    let loads = Loads::default();
    let old = texts.get_or_insert_with("k", async || loads.load_slowly(&runtime, "old").await);
    let new = async {
        runtime.sleep(SECOND / 2).await;
        texts.invalidate("k").await.unwrap();
        texts.get_or_insert_with("k", async || loads.load_slowly(&runtime, "new").await).await
    };
    let (old, new) = runtime.block_on(join(old, new));
    assert_eq!((old.as_str(), new.as_str()), ("old", "new"));
    assert_eq!(runtime.block_on(texts.get("k")).unwrap().as_str(), "new");
}

#[test]
fn other_process_invalidation_refuses_load() {
    on_tokio(async {
        let server = server();
        let here = Store::connect(&server.url()).await.unwrap();
        let there = Store::connect(&server.url()).await.unwrap();
        let here = here.cache::<u32>("numbers").build().unwrap();
        let there = there.cache::<u32>("numbers").build().unwrap();
        let loaded = here.get_or_insert_with("k", async || {
            there.invalidate("k").await.unwrap();
            1
        });
        assert_eq!(*loaded.await, 1);
        assert_eq!(there.get("k").await, None);
        assert_eq!(here.stats().refused, 1);
    });
}

#[test]
fn pattern_matches_only_its_cache() {
    on_each_backend(async |store: Store| {
        let pages = store.cache::<u32>("pages").build().unwrap();
        let others = store.cache::<u32>("others").build().unwrap();
        for number in 0..20 {
            pages.insert(format!("list:{number}"), number).await;
            others.insert(format!("list:{number}"), number).await;
        }
        pages.insert("about", 1).await;
        assert_eq!(pages.invalidate_pattern("list:*").await.unwrap().removed(), 20);
        assert_eq!(pages.get("list:7").await, None);
        assert!(pages.contains_key("about").await && others.contains_key("list:7").await);
    });
}

#[test]
fn patterns_find_encoded_keys() {
    on_each_backend(async |store: Store| {
        let pages = store.cache::<u32>("pages").build().unwrap();
        for identifier in ["list:1", "list:2", "lists", "user@x:1"] {
            pages.insert(identifier, 1).await;
        }
        assert_eq!(pages.invalidate_pattern("list:*").await.unwrap().removed(), 2);
        assert_eq!(pages.get("list:1").await, None);
        let user = format!("{}*", Pattern::escape("user@x:"));
        assert_eq!(pages.invalidate_pattern(&user).await.unwrap().removed(), 1);
        assert!(pages.contains_key("lists").await);

        pages.insert_many([(("acme", 1), 1), (("acme", 2), 1), (("other", 1), 1)]).await;
        assert_eq!(pages.invalidate_pattern("acme,*").await.unwrap().removed(), 2);
        assert!(pages.contains_key(("other", 1)).await);
    });
}

#[test]
fn pattern_needs_literal_beginning() {
    on_each_backend(async |store: Store| {
        let pages = store.cache::<u32>("pages").build().unwrap();
        pages.insert("a", 1).await;
        for pattern in ["*", "", "?a", "[a-z]*", "**"] {
            let error = pages.invalidate_pattern(pattern).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Key, "{pattern:?}");
        }
        assert!(pages.contains_key("a").await);
    });
}

#[test]
fn star_in_identifier_is_literal() {
    on_each_backend(async |store: Store| {
        let users = store.cache::<u32>("users[1]").build().unwrap();
        for identifier in ["*", "a*", "ab", "user[1]"] {
            users.insert(identifier, 1).await;
        }
        assert_eq!(users.invalidate("*").await.unwrap().removed(), 1);
        let pattern = format!("{}*", Pattern::escape("a*"));
        assert_eq!(users.invalidate_pattern(&pattern).await.unwrap().removed(), 1);
        assert_eq!(users.invalidate("user[1]").await.unwrap().removed(), 1);
        assert!(users.contains_key("ab").await);
    });
}

#[test]
fn insert_refuses_load_in_flight() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let loaded = numbers.get_or_insert_with("k", async || {
            numbers.fallible().insert("k", 2).await.unwrap();
            1
        });
        assert_eq!(*loaded.await, 1);
        assert_eq!(numbers.get("k").await.as_deref(), Some(&2));
    });
}

#[test]
fn overtaken_insert_is_counted() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        assert_eq!(numbers.insert_many([("k", 1), ("k", 2)]).await, [false, true]);
        assert_eq!(numbers.get("k").await.as_deref(), Some(&2));
        assert_eq!(numbers.stats().refused, 1);
    });
}

#[test]
fn dropped_invalidation_completes() {
    let runtime = SimRuntime::new(3);
    let shared: Arc<dyn Runtime> = Arc::new(runtime.clone());
    let memory = MemoryBackend::new(1 << 20, Arc::clone(&shared));
    let slow = Slow::new(memory, Arc::clone(&shared), Duration::from_secs(10));
    let store = Store::builder().backend(Arc::new(slow)).runtime(shared).build().unwrap();
    let numbers = store.cache::<u32>("numbers").backend_budget(Duration::MAX).build().unwrap();
    runtime.block_on(async {
        numbers.fallible().insert("k", 1).await.unwrap();
        let invalidation = numbers.invalidate("k").boxed();
        select(invalidation, runtime.sleep(Duration::from_nanos(1))).map(drop).await;
        runtime.sleep(Duration::from_secs(30)).await;
        assert_eq!(numbers.fallible().get("k").await.unwrap(), None);
    });
}
