use std::time::Duration;

use hotshelf::Store;
use hotshelf::testing::TestStore;
use product_api::Db;
use serde_json::{Value, json};

use crate::support::TestApp;

async fn debugged(store: &Store) -> TestApp {
    let db = Db::open("sqlite::memory:").await.unwrap();
    TestApp::configured(store.clone(), db, &[("DEBUG", "1")])
}

#[tokio::test]
async fn explanation_follows_the_path_of_its_resource() {
    let test = TestStore::new();
    let app = debugged(test.store()).await;
    for (resource, key) in [
        ("/products/1", "api:v1:products:1"),
        ("/products?category=books&page=2", "api:v1:products:list:"),
    ] {
        let explained = async || app.get(&format!("/cache/explain{resource}")).await.ok();
        let missing = explained().await;
        assert_eq!((&missing["verdict"], &missing["reason"]), (&json!("miss"), &json!("missing")));
        app.get(resource).await.ok();
        let hit = explained().await;
        assert!(hit["key"].as_str().unwrap().starts_with(key), "{hit}");
        assert_eq!((&hit["verdict"], &hit["is_paused"]), (&json!("hit"), &json!(false)));
        assert_eq!(explained().await, hit, "it counts and changes nothing");
        test.advance(Duration::from_secs(600));
    }
    let stale = app.get("/cache/explain/products?category=books&page=2").await.ok();
    assert_eq!(stale["verdict"], "stale_while_revalidating");
    app.put("/products/2/stock?in_stock=false").await.ok();
    let invalidated = app.get("/cache/explain/products?category=books&page=2").await.ok();
    assert_eq!(invalidated["reason"], "tags_changed");
    assert_eq!(app.get("/cache/explain/products?page=0").await.status, 422);
}

#[tokio::test]
async fn explanations_are_for_debugging_only() {
    let described = async |app: &TestApp| {
        let description = app.get("/openapi.json").await.ok();
        let paths: Vec<String> =
            description["paths"].as_object().map(|paths| paths.keys().cloned().collect()).unwrap();
        paths.iter().filter(|path| path.contains("explain")).count()
    };
    let app = TestApp::in_memory().await;
    for path in ["/cache/explain/products/1", "/cache/explain/products", "/cache/explain"] {
        let hidden = app.get(path).await;
        assert_eq!((hidden.status, hidden.body), (404, json!({"detail": "Not Found"})));
    }
    assert_eq!(described(&app).await, 0);
    assert_eq!(described(&debugged(&Store::memory()).await).await, 2);
}

#[tokio::test]
async fn explanation_needs_the_cache() {
    let test = TestStore::new();
    let app = debugged(test.store()).await;
    test.fail(true);
    let failed = app.get("/cache/explain/products/1").await;
    assert_eq!((failed.status, &failed.body["detail"]), (503, &Value::from("Cache unavailable")));
}
