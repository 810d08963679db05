use serde_json::json;

use crate::support::{TestApp, product};

#[tokio::test]
async fn batch_writes_and_updates_pages() {
    for app in TestApp::on_each_backend().await {
        assert_eq!(app.get("/products?category=new").await.ok()["total"], 0);
        assert_eq!(app.get("/products/1").await.ok()["category"], "electronics");

        let batch = json!([product("1", "new"), product("2000", "new"), product("3000", "new")]);
        let answer = app.post_batch(batch).await;
        assert_eq!(answer.status, 201);
        assert_eq!(answer.body, json!({"created": 3, "cached": true}));

        assert_eq!(app.get("/products/1").await.ok(), product("1", "new"));
        let page = app.get("/products?category=new&per_page=2").await.ok();
        assert_eq!(page["items"], json!([product("1", "new"), product("2000", "new")]));
        assert_eq!(page["total"], 3);
    }
}

#[tokio::test]
async fn products_of_batch_are_cached() {
    for app in TestApp::on_each_backend().await {
        app.post_batch(json!([product("a", "new"), product("b", "new")])).await.ok();
        app.db.delete_category("new").await.unwrap();
        assert_eq!(app.get("/products/a").await.ok(), product("a", "new"));
        assert_eq!(app.get("/products/b").await.ok(), product("b", "new"));
    }
}

#[tokio::test]
async fn last_duplicate_in_batch_wins() {
    for app in TestApp::on_each_backend().await {
        let answer = app.post_batch(json!([product("a", "first"), product("a", "last")])).await;
        assert_eq!(answer.ok(), json!({"created": 2, "cached": true}));
        assert_eq!(app.get("/products/a").await.ok()["category"], "last");
        assert_eq!(app.db.find("a").await.unwrap().unwrap().category, "last");
    }
}

#[tokio::test]
async fn invalid_batch_writes_nothing() {
    for app in TestApp::on_each_backend().await {
        let faulty = json!([product("a", "new"), {"id": "b"}]);
        assert_eq!(app.post_batch(faulty).await.status, 422);
        assert_eq!(app.get("/products/a").await.status, 404);
    }
}

#[tokio::test]
async fn stock_change_updates_pages() {
    for app in TestApp::on_each_backend().await {
        let path = "/products?per_page=1";
        assert_eq!(app.get(path).await.ok()["items"][0]["in_stock"], true);
        let answer = app.put("/products/1/stock?in_stock=off").await.ok();
        assert_eq!(answer, json!({"product_id": "1", "in_stock": false}));
        assert_eq!(app.get(path).await.ok()["items"][0]["in_stock"], false);
    }
}

#[tokio::test]
async fn stock_of_unknown_product_is_404() {
    for app in TestApp::on_each_backend().await {
        let answer = app.put("/products/none/stock?in_stock=true").await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.body, json!({"detail": "Product not found"}));
    }
}

#[tokio::test]
async fn delete_category_deletes_products_and_entries() {
    for app in TestApp::on_each_backend().await {
        for path in ["/products/1", "/products/6", "/products/2", "/products", "/products?page=2"] {
            app.get(path).await.ok();
        }
        let answer = app.delete("/categories/electronics").await.ok();
        // Products 1 and 6; product 2 is a book, and pages are not counted.
        let expected = json!({
            "category_deleted": "electronics",
            "products_deleted": 200,
            "cache_entries_invalidated": 2,
        });
        assert_eq!(answer, expected);

        assert_eq!(app.get("/products/1").await.status, 404);
        assert_eq!(app.get("/products/2").await.status, 200);
        assert_eq!(app.get("/products").await.ok()["total"], 800);

        let again = app.delete("/categories/electronics").await.ok();
        assert_eq!(
            (&again["products_deleted"], &again["cache_entries_invalidated"]),
            (&json!(0), &json!(0))
        );
    }
}

/// Returns which of the pages are hits: the others are loaded from the database.
async fn hits(app: &TestApp, paths: &[&str]) -> Vec<bool> {
    let mut hits = Vec::new();
    for path in paths {
        let before = app.loads().await;
        app.get(path).await.ok();
        hits.push(app.loads().await == before);
    }
    hits
}

#[tokio::test]
async fn write_invalidates_affected_pages_only() {
    let pages = [
        "/products",
        "/products?category=",
        "/products?category=electronics",
        "/products?category=books",
    ];
    for app in TestApp::on_each_backend().await {
        assert_eq!(hits(&app, &pages).await, [false; 4]);
        assert_eq!(hits(&app, &pages).await, [true; 4]);

        app.put("/products/1/stock?in_stock=false").await.ok();
        assert_eq!(hits(&app, &pages).await, [false, false, false, true], "stock of electronics");

        // The batch moves a product from one page to the other.
        app.post_batch(json!([product("1", "books")])).await.ok();
        assert_eq!(hits(&app, &pages).await, [false; 4], "a batch");
        assert_eq!(app.get(pages[2]).await.ok()["items"][0]["id"], "6");
        assert_eq!(app.get(pages[3]).await.ok()["items"][0]["id"], "1");

        app.delete("/categories/books").await.ok();
        assert_eq!(hits(&app, &pages).await, [false, false, true, false], "a deletion of books");
    }
}
