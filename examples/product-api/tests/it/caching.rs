use serde_json::json;

use crate::support::{TestApp, product};

const NOT_FOUND: &str = "Product not found";
/// The path of a product whose key is that of the first page with the default query.
const LIKE_A_PAGE: &str = "/products/list:41a83e11527e";

#[tokio::test]
async fn hit_does_not_query_the_database() {
    for app in TestApp::on_each_backend().await {
        assert_eq!(app.get("/products/1").await.ok()["in_stock"], true);
        app.db.set_stock("1", false).await.unwrap();
        assert_eq!(app.get("/products/1").await.ok()["in_stock"], true);

        app.put("/products/1/stock?in_stock=false").await.ok();
        assert_eq!(app.get("/products/1").await.ok()["in_stock"], false);
    }
}

#[tokio::test]
async fn page_key_ignores_query_order() {
    for app in TestApp::on_each_backend().await {
        let path = "/products?category=books&per_page=2";
        let before = app.get(path).await.ok();
        app.db.delete_category("books").await.unwrap();
        assert_eq!(app.get(path).await.ok(), before);
        assert_eq!(app.get("/products?page=1&per_page=2&category=books").await.ok(), before);
        assert_eq!(app.get("/products?category=books&per_page=3").await.ok()["total"], 0);
    }
}

#[tokio::test]
async fn unknown_id_is_cached_until_created() {
    for app in TestApp::on_each_backend().await {
        let unknown = app.get("/products/new").await;
        assert_eq!((unknown.status, &unknown.body["detail"]), (404, &json!(NOT_FOUND)));

        let row = serde_json::from_value(product("new", "books")).unwrap();
        app.db.upsert(&[row]).await.unwrap();
        assert_eq!(app.get("/products/new").await.status, 404, "the negative is not cached");

        app.post_batch(json!([product("new", "toys")])).await.ok();
        assert_eq!(app.get("/products/new").await.ok()["category"], "toys");
    }
}

#[tokio::test]
async fn negative_does_not_replace_page() {
    for app in TestApp::on_each_backend().await {
        let page = app.get("/products").await.ok();
        assert_eq!(app.get(LIKE_A_PAGE).await.status, 404);
        app.db.delete_category("electronics").await.unwrap();
        assert_eq!(app.get("/products").await.ok(), page, "the page was not kept");
    }
}

#[tokio::test]
async fn negative_does_not_hide_page() {
    for app in TestApp::on_each_backend().await {
        assert_eq!(app.get(LIKE_A_PAGE).await.status, 404);
        assert_eq!(app.get("/products").await.ok()["total"], 1_000);
        assert_eq!(app.get(LIKE_A_PAGE).await.status, 404);
    }
}

#[tokio::test]
async fn product_and_page_share_a_key() {
    for app in TestApp::on_each_backend().await {
        app.post_batch(json!([product("list:41a83e11527e", "books")])).await.ok();
        for _ in 0..2 {
            assert_eq!(app.get(LIKE_A_PAGE).await.ok()["name"], "new");
            assert_eq!(app.get("/products").await.ok()["total"], 1_001);
        }
    }
}

#[tokio::test]
async fn ids_may_contain_special_characters() {
    for app in TestApp::on_each_backend().await {
        let ids = [("batch", "batch"), ("a/b", "a%2Fb"), ("*", "*"), ("é", "%C3%A9"), ("%", "%25")];
        for (id, segment) in ids {
            let path = format!("/products/{segment}");
            assert_eq!(app.get(&path).await.status, 404, "{id}");
            app.post_batch(json!([product(id, "books")])).await.ok();
            assert_eq!(app.get(&path).await.ok()["id"], id);
            app.put(&format!("{path}/stock?in_stock=no")).await.ok();
            assert_eq!(app.get(&path).await.ok()["in_stock"], false, "{id}");
        }
    }
}

#[tokio::test]
async fn redis_stores_plain_json_with_ttl() {
    let app = TestApp::on_redis().await;
    let product = app.get("/products/1").await.ok();
    let page = app.get("/products").await.ok();

    let redis = app.redis.as_ref().unwrap();
    for (key, body, seconds) in [
        // Fresh for 900 s or 180 s, ± 10 %, and kept for an hour in case that the database fails.
        ("api:v1:products:1", product, 4_408..=4_590),
        ("api:v1:products:list:41a83e11527e", page, 3_760..=3_798),
    ] {
        let stored: serde_json::Value = serde_json::from_str(&redis.cli(&["GET", key])).unwrap();
        assert_eq!(stored, body, "{key}");
        let left: i64 = redis.cli(&["TTL", key]).trim().parse().unwrap();
        assert!(seconds.contains(&left), "{key} has {left} s left");
    }
}

#[tokio::test]
async fn near_tier_is_shown() {
    let app = TestApp::near_redis().await;
    let near_hits = async || {
        let info = app.get("/cache/info").await.ok();
        let caches = info["caches"].as_array().unwrap();
        assert_eq!(info["near"]["max_staleness_seconds"], 2.0);
        caches.iter().map(|cache| cache["near_hits"].as_u64().unwrap()).sum::<u64>()
    };
    // The first answers come before the connection has vouched for anything.
    for _ in 0..10_000 {
        app.get("/products/1").await.ok();
        if near_hits().await > 0 {
            return;
        }
    }
    panic!("the near tier never answered");
}
