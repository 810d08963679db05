//! Unreachable servers.

use std::time::{Duration, Instant};

use hotshelf::{ErrorKind, Store};

use crate::support::{Loads, on_tokio, server};

#[expect(clippy::disallowed_methods, reason = "the cost of an outage is real time")]
fn now() -> Instant {
    Instant::now()
}

async fn dead_store() -> Store {
    let mut server = server();
    server.kill();
    Store::connect(&server.url()).await.unwrap()
}

#[test]
fn loads_run_without_server() {
    on_tokio(async {
        let texts = dead_store().await.cache::<String>("texts").build().unwrap();
        let loads = Loads::default();
        let start = now();
        for _ in 0..50 {
            assert_eq!(*texts.get_or_insert_with("k", async || loads.load("v").await).await, "v");
        }
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
        assert_eq!(loads.count(), 50);
        let stats = texts.stats();
        assert_eq!((stats.degraded, stats.errors, stats.hits), (50, 50, 0));
    });
}

#[test]
fn only_fallible_methods_report_failures() {
    on_tokio(async {
        let store = dead_store().await;
        let texts = store.cache::<String>("texts").build().unwrap();
        assert_eq!(texts.get("k").await, None);
        texts.insert("k", "v".to_owned()).await;
        assert_eq!(texts.get_many(["a", "b"]).await, [None, None]);
        assert_eq!(texts.stats().errors, 3);

        let unavailable = ErrorKind::Unavailable;
        assert_eq!(texts.fallible().get("k").await.unwrap_err().kind(), unavailable);
        assert_eq!(
            texts.fallible().insert("k", "v".to_owned()).await.unwrap_err().kind(),
            unavailable
        );
        assert_eq!(texts.fallible().remaining("k").await.unwrap_err().kind(), unavailable);
        assert_eq!(texts.invalidate("k").await.unwrap_err().kind(), unavailable);
        assert_eq!(texts.invalidate_pattern("a*").await.unwrap_err().kind(), unavailable);
        assert_eq!(store.ping().await.unwrap_err().kind(), unavailable);
        assert!(store.info().await.server.is_none());
    });
}

#[test]
fn callers_share_load_without_server() {
    on_tokio(async {
        let texts = dead_store().await.cache::<String>("texts").build().unwrap();
        let loads = Loads::default();
        let call = || {
            texts.get_or_insert_with("k", async || {
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                loads.load("v").await
            })
        };
        futures_util::future::join_all((0..500).map(|_| call())).await;
        // One load serves the callers that joined before it began; the others share the next
        // one.
        assert_eq!(loads.count(), 2);
    });
}

#[test]
fn restarted_server_is_used_again() {
    on_tokio(async {
        let mut server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let texts = store.cache::<String>("texts").build().unwrap();
        texts.insert("k", "cached".to_owned()).await;
        server.kill();
        let loads = Loads::default();
        let mut longest = Duration::ZERO;
        for _ in 0..100 {
            let start = now();
            texts.get_or_insert_with("k", async || loads.load("loaded").await).await;
            longest = longest.max(start.elapsed());
        }
        assert!(longest < Duration::from_millis(400), "{longest:?}");

        server.restart().unwrap();
        let start = now();
        while store.ping().await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "the server was not used again");
            tokio::task::yield_now().await;
        }
        texts.fallible().insert("k", "again".to_owned()).await.unwrap();
        assert_eq!(texts.get("k").await.unwrap().as_str(), "again");
    });
}

#[test]
fn stopped_server_costs_its_deadlines() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let texts = store.cache::<String>("texts").build().unwrap();
        server.pause();
        let loads = Loads::default();
        let start = now();
        for _ in 0..20 {
            texts.get_or_insert_with("k", async || loads.load("v").await).await;
        }
        let elapsed = start.elapsed();
        server.resume();
        assert_eq!(loads.count(), 20);
        assert!(elapsed < Duration::from_millis(700), "20 loads took {elapsed:?}");
    });
}

#[test]
fn closed_store_still_loads() {
    on_tokio(async {
        let server = server();
        for store in [Store::memory(), Store::connect(&server.url()).await.unwrap()] {
            let texts = store.cache::<String>("texts").build().unwrap();
            store.close().await;
            assert_eq!(store.ping().await.unwrap_err().kind(), ErrorKind::Closed);
            assert_eq!(*texts.get_or_insert_with("k", async || "v".to_owned()).await, "v");
        }
    });
}
