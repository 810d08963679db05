//! Stale values, and the header fields that tell them from others.

use product_api::ListQuery;
use serde_json::json;

use crate::support::{Answer, TestApp};

const PAGE: &str = "/products?per_page=1";
const STALE: &str = "hotshelf; hit; detail=stale";

async fn expire_page(app: &TestApp) {
    let query = ListQuery { category: None, page: 1, per_page: 1 };
    let entry = app.app.pages().entry("list").params(&query).unwrap();
    assert!(entry.expire().await.unwrap(), "there is no page");
}

/// Asks for it until its `Cache-Status` is this one: what happens in the background, and in the
/// near tier, takes a moment.
async fn until(app: &TestApp, path: &str, status: &str) -> Answer {
    for _ in 0..10_000 {
        let answer = app.get(path).await;
        if answer.cache_status == status {
            return answer;
        }
        tokio::task::yield_now().await;
    }
    panic!("never {status}: {:?}", app.get(path).await);
}

#[tokio::test]
async fn stale_page_is_served_while_it_is_loaded_anew() {
    for app in TestApp::on_each_backend().await {
        let loaded = app.get(PAGE).await;
        assert_eq!(loaded.cache_status, "hotshelf; fwd=uri-miss");
        assert_eq!(loaded.age, "", "it was generated for this request");
        let hit = app.get(PAGE).await;
        assert_eq!((hit.cache_status.as_str(), hit.age.as_str()), ("hotshelf; hit", "0"));

        app.db.set_stock("1", false).await.unwrap();
        expire_page(&app).await;
        let stale = until(&app, PAGE, STALE).await.ok();
        assert_eq!(stale["items"][0]["in_stock"], true);
        let fresh = until(&app, PAGE, "hotshelf; hit").await.ok();
        assert_eq!(fresh["items"][0]["in_stock"], false);
        assert_eq!((app.loads().await, app.counter("refreshes").await), (2, 1));
    }
}

#[tokio::test]
async fn stale_values_survive_the_database() {
    for app in TestApp::on_each_backend().await {
        app.get("/products/1").await.ok();
        app.get(PAGE).await.ok();
        app.app.products().expire("1").await.unwrap();
        expire_page(&app).await;
        app.db.close().await;
        for path in [PAGE, "/products/1"] {
            until(&app, path, STALE).await;
        }
        while app.counter("load_errors").await < 2 {
            tokio::task::yield_now().await;
        }
        for path in [PAGE, "/products/1", PAGE, "/products/1"] {
            assert_eq!(app.get(path).await.cache_status, STALE);
        }
        assert_eq!(app.counter("load_errors").await, 2, "one for each in 30 s");
    }
}

#[tokio::test]
async fn invalidated_value_is_not_served_stale() {
    for app in TestApp::on_each_backend().await {
        for path in [PAGE, "/products/1"] {
            app.get(path).await.ok();
        }
        app.app.products().expire("1").await.unwrap();
        expire_page(&app).await;
        app.put("/products/1/stock?in_stock=false").await.ok();
        app.db.close().await;
        for path in [PAGE, "/products/1"] {
            let failed = app.get(path).await;
            assert_eq!(failed.status, 503, "{failed:?}");
            assert_eq!(failed.body, json!({"detail": "Database unavailable"}));
            assert_eq!(failed.cache_status, "");
        }
    }
}
