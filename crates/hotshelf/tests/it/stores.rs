//! Stores: creating, disabling and inspecting them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hotshelf::{ErrorKind, KeyLayout, Remaining, Store};
use hotshelf_core::Runtime;
use hotshelf_testkit::SimRuntime;

use crate::support::{Loads, SECOND, on_each_backend, on_tokio, server};

#[test]
fn store_outlives_tokio() {
    let store = Store::memory();
    let numbers = store.cache::<u32>("numbers").build().unwrap();
    on_tokio(async {
        numbers.insert(1, 1).await;
        assert_eq!(*numbers.get_or_insert_with(2, async || 2).await, 2);
    });
    drop(store);
    drop(numbers);
}

#[test]
fn load_dropped_outside_tokio_frees_key() {
    let numbers = Store::memory().cache::<u32>("numbers").build().unwrap();
    let mut load = Box::pin(numbers.get_or_insert_with("k", async || std::future::pending().await));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    // Renewing its lease needs tokio's timer.
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let entered = tokio.enter();
    assert!(load.as_mut().poll(&mut context).is_pending());
    drop(entered);
    drop(load);
    drop(tokio);
    assert_eq!(*on_tokio(numbers.get_or_insert_with("k", async || 7)), 7);
    assert!(on_tokio(numbers.contains_key("k")), "the lease was released");
}

#[test]
fn unsupported_urls_are_errors() {
    on_tokio(async {
        let memory = Store::connect("memory://").await.unwrap();
        assert_eq!(memory.info().await.backend, "memory");
        for url in ["redis+other://a:26379/main", "http://a"] {
            let error = Store::connect(url).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{url}");
        }
        Store::connect("MEMORY://").await.unwrap();
        let error = Store::connect("memory://bogus").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let error = Store::connect("redis://").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("redis://host:port"), "{error}");
    });
}

#[test]
fn prefix_hs_is_reserved() {
    let store = Store::memory();
    for layout in [KeyLayout::FastapiRc, KeyLayout::Injective] {
        for prefix in ["hs", "hs:t"] {
            let builder = store.cache::<u32>("numbers").prefix(prefix).key_layout(layout);
            let error = builder.build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains("choose another"), "{error}");
        }
    }
    store.cache::<u32>("numbers").prefix("hsx").build().unwrap();
}

#[test]
fn disabled_store_runs_every_loader() {
    on_tokio(async {
        let texts = Store::disabled().cache::<String>("texts").build().unwrap();
        let loads = Loads::default();
        for _ in 0..3 {
            texts.get_or_insert_with("k", async || loads.load("v").await).await;
        }
        texts.insert("k", "v".to_owned()).await;
        assert_eq!(loads.count(), 3);
        assert!(!texts.contains_key("k").await);
        texts.invalidate("k").await.unwrap();
    });
}

#[test]
fn enabling_again_serves_nothing_outdated() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        for key in ["kept", "invalidated", "replaced", "replaced too"] {
            numbers.insert(key, 1).await;
        }
        store.set_enabled(false);
        assert!(!store.is_enabled());
        assert_eq!(numbers.get("kept").await, None);
        assert_eq!(numbers.remaining("kept").await, Remaining::Missing);
        numbers.invalidate("invalidated").await.unwrap();
        numbers.fallible().insert("replaced", 2).await.unwrap();
        assert_eq!(numbers.insert_many([("replaced too", 2)]).await, [false]);

        store.set_enabled(true);
        assert_eq!(numbers.get("kept").await.as_deref(), Some(&1));
        let gone = numbers.get_many(["invalidated", "replaced", "replaced too"]).await;
        assert_eq!(gone, [None, None, None]);
    });
}

#[test]
fn same_options_return_same_cache() {
    on_each_backend(async |store: Store| {
        let build =
            |seconds| store.cache::<u32>("n").time_to_live(Duration::from_secs(seconds)).build();
        let (one, same) = (build(60).unwrap(), build(60).unwrap());
        one.get("k").await;
        assert_eq!(same.stats().misses, 1);

        let error = build(61).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("60s") && error.to_string().contains("61s"), "{error}");
        let other = store.cache::<u32>("n").key_layout(KeyLayout::FastapiRc).build();
        let error = other.unwrap_err().to_string();
        assert!(error.contains("Injective") && error.contains("FastapiRc"), "{error}");
        let error = store.cache::<u32>("n").tags(|_| ["t"]).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let error = store.cache::<String>("n").build().unwrap_err().to_string();
        assert!(error.contains("u32") && error.contains("String"), "{error}");
        store.cache::<u32>("n").version("v2").build().expect("another version is another cache");
    });
}

#[test]
fn info_describes_store_and_caches() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").prefix("app").build().unwrap();
        store.cache::<String>("texts").without_version().build().unwrap();
        numbers.get_or_insert_with(1, async || 1).await;
        numbers.get(1).await;

        let info = store.info().await;
        assert!(info.enabled && info.server.is_some());
        let names: Vec<_> = info.caches.iter().map(|cache| cache.name.as_str()).collect();
        assert_eq!(names, ["numbers", "texts"]);
        assert_eq!(info.caches[0].prefix, "app");
        assert_eq!(info.caches[1].version, None);
        assert_eq!((info.caches[0].stats.hits, info.caches[0].stats.loads), (1, 1));
        assert!(store.ping().await.unwrap() < Duration::from_secs(1));
    });
}

#[test]
fn memory_stays_within_capacity() {
    on_tokio(async {
        let store = Store::builder().memory_capacity(1 << 20).build().unwrap();
        let texts = store.cache::<String>("texts").build().unwrap();
        for number in 0..10_000 {
            texts.insert(number, "x".repeat(1000)).await;
        }
        let server = store.info().await.server.unwrap();
        assert!(server.used_memory <= 1 << 20, "{server:?}");
        assert_eq!(server.max_memory, 1 << 20);
        let kept = texts.get_many(0..10_000).await.iter().flatten().count();
        assert!((350..500).contains(&kept), "{kept}");
    });
}

#[test]
fn value_beyond_capacity_is_an_error() {
    on_tokio(async {
        let store = Store::builder().memory_capacity(1 << 20).build().unwrap();
        let texts = store.cache::<String>("texts").build().unwrap();
        let (fitting, large) = ("x".repeat(450_000), "x".repeat(500_000));
        texts.fallible().insert("k", fitting.clone()).await.unwrap();
        assert_eq!(texts.get("k").await.as_deref(), Some(&fitting));

        let error = texts.fallible().insert("k", large.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert_eq!(texts.get("k").await, None, "the older value is outdated");
        assert_eq!(*texts.get_or_insert_with("k", async || large.clone()).await, large);
        assert_eq!(texts.stats().unstorable, 1);
    });
}

#[test]
fn raw_client_reaches_server() {
    on_each_backend(async |store: Store| {
        let Some(redis) = store.redis() else { return };
        let count = redis.command(&["INCR", "visits"]).await.unwrap().integer().unwrap();
        assert_eq!(count, 1);
    });
}

#[test]
fn lease_lasts_as_configured() {
    on_tokio(async {
        let server = server();
        let store = Store::builder().url(server.url()).lease(SECOND * 60).build().unwrap();
        let numbers = store.cache::<u32>("n").build().unwrap();
        let left = || server.cli(&["PTTL", "hs:l:{cache:v1:n:k}"]).parse::<u64>().unwrap();
        let of_load = *numbers.get_or_insert_with("k", async || left() as u32).await;
        let write = async || Ok::<_, Infallible>(left() as u32);
        let of_write = *numbers.write_through("k", write).await.unwrap().value().clone();
        for left in [of_load, of_write] {
            assert!((50_000..=60_000).contains(&left), "{left} ms");
        }
    });
}

#[test]
fn short_lease_is_renewed() {
    let runtime = SimRuntime::new(1);
    let builder = Store::builder().runtime(Arc::new(runtime.clone()));
    let store = builder.lease(Duration::from_millis(100)).build().unwrap();
    let numbers = store.cache::<u32>("n").build().unwrap();
    let load = async || {
        runtime.sleep(SECOND).await;
        7
    };
    runtime.block_on(numbers.get_or_insert_with("k", load));
    assert!(runtime.block_on(numbers.contains_key("k")), "the fill was not refused");
}

#[test]
fn too_short_lease_is_rejected() {
    let error = Store::builder().lease(Duration::from_millis(9)).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(Store::builder().lease(Duration::from_millis(10)).build().is_ok());
}
