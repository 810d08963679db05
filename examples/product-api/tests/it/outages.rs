use std::collections::BTreeSet;

use hotshelf::Store;
use serde_json::{Value, json};

use crate::support::{TestApp, product};

async fn every_endpoint_answers(app: &TestApp) {
    for path in
        ["/", "/docs/", "/openapi.json", "/products/1", "/products", "/products?category=books"]
    {
        app.get(path).await.ok();
    }
    app.put("/products/1/stock?in_stock=false").await.ok();
    assert_eq!(app.get("/products/1").await.ok()["in_stock"], false);
    let batch = app.post_batch(json!([product("new", "new")])).await.ok();
    assert_eq!(batch, json!({"created": 1, "cached": false}));
    assert_eq!(app.get("/products/new").await.ok()["name"], "new");
    let deleted = app.delete("/categories/new").await.ok();
    assert_eq!(
        (&deleted["products_deleted"], &deleted["cache_entries_invalidated"]),
        (&json!(1), &json!(0))
    );

    let health = app.get("/health").await.ok();
    assert_eq!(
        health,
        json!({
            "status": "degraded",
            "cache": {"backend": "redis", "ping_ms": null},
            "database": "up",
        })
    );
    let info = app.get("/cache/info").await.ok();
    assert_eq!(info["backend"], "redis");
    assert_eq!(info["server"]["version"], "unknown");
    assert_eq!(info["memory"]["used_memory_human"], "unknown");
    assert_eq!(info["stats"]["hit_rate_percent"], Value::Null);
    assert_eq!(info["caches"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn service_survives_redis_outage() {
    let mut app = TestApp::on_redis().await;
    assert_eq!(app.get("/products/1").await.ok()["in_stock"], true);
    assert_eq!(app.get("/health").await.ok()["status"], "healthy");
    app.redis.as_mut().unwrap().kill();
    every_endpoint_answers(&app).await;
}

#[tokio::test]
async fn service_starts_without_redis() {
    // There is no server on port 1.
    let store = Store::connect("redis://127.0.0.1:1").await.unwrap();
    every_endpoint_answers(&TestApp::on(store, None).await).await;
}

#[tokio::test]
async fn database_outage_serves_cached_values() {
    for app in TestApp::on_each_backend().await {
        app.get("/products/1").await.ok();
        app.db.close().await;

        assert_eq!(app.get("/products/1").await.ok()["id"], "1");
        let failed = app.get("/products/2").await;
        assert_eq!(failed.status, 503);
        assert_eq!(failed.body, json!({"detail": "Database unavailable"}));
        let health = app.get("/health").await.ok();
        assert_eq!((&health["status"], &health["database"]), (&json!("degraded"), &json!("down")));
    }
}

#[tokio::test]
async fn info_contains_counters_of_caches() {
    for app in TestApp::on_each_backend().await {
        app.get("/products/1").await.ok();
        app.get("/products/1").await.ok();
        app.get("/products").await.ok();

        let info = app.get("/cache/info").await.ok();
        let caches = info["caches"].as_array().unwrap();
        let counted: BTreeSet<[u64; 3]> = caches
            .iter()
            .map(|cache| ["hits", "misses", "loads"].map(|name| cache[name].as_u64().unwrap()))
            .collect();
        assert_eq!(counted, BTreeSet::from([[0, 1, 1], [1, 1, 1]]));
        for cache in caches {
            assert_eq!(
                (&cache["prefix"], &cache["version"], &cache["name"], &cache["errors"]),
                (&json!("api"), &json!("v1"), &json!("products"), &json!(0))
            );
        }
    }
}
