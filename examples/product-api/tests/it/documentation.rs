use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::TestApp;

#[tokio::test]
async fn every_endpoint_is_described() {
    let app = TestApp::in_memory().await;
    let description = app.get("/openapi.json").await.ok();
    let described: BTreeSet<(&str, &str)> = description["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(|method| (path.as_str(), method.as_str()))
        })
        .collect();
    let expected = BTreeSet::from([
        ("/", "get"),
        ("/cache/info", "get"),
        ("/metrics", "get"),
        ("/categories/{id}", "delete"),
        ("/health", "get"),
        ("/products", "get"),
        ("/products/batch", "post"),
        ("/products/{id}", "get"),
        ("/products/{id}/stock", "put"),
    ]);
    assert_eq!(described, expected);
}

#[tokio::test]
async fn description_contains_limits_and_schemas() {
    let app = TestApp::in_memory().await;
    let description = app.get("/openapi.json").await.ok();
    let parameters = description["paths"]["/products"]["get"]["parameters"].as_array().unwrap();
    let per_page = parameters.iter().find(|parameter| parameter["name"] == "per_page").unwrap();
    assert_eq!(per_page["required"], false);
    assert_eq!(per_page["schema"]["maximum"], 100);
    assert_eq!(per_page["schema"]["default"], 20);
    let created_at = &description["components"]["schemas"]["Product"]["properties"]["created_at"];
    assert_eq!(
        (&created_at["type"], &created_at["format"]),
        (&json!("string"), &json!("date-time"))
    );
    for unresolved in references(&description) {
        let name = unresolved.rsplit('/').next().unwrap();
        assert!(description["components"]["schemas"].get(name).is_some(), "{unresolved}");
    }
}

#[tokio::test]
async fn documentation_page_is_served() {
    let app = TestApp::in_memory().await;
    let page = app.get("/docs/").await;
    assert_eq!((page.status, page.content_type.as_str()), (200, "text/html"));
    assert_eq!(app.get("/").await.ok()["docs"], "/docs");
}

#[tokio::test]
async fn unknown_routes_answer_in_json() {
    let app = TestApp::in_memory().await;
    let nowhere = app.get("/nope").await;
    assert_eq!((nowhere.status, nowhere.body), (404, json!({"detail": "Not Found"})));
    for (method, path, allowed) in [
        (Method::DELETE, "/products", "GET"),
        (Method::POST, "/products/1", "GET"),
        (Method::GET, "/products/1/stock", "PUT"),
    ] {
        let refused = app.call(method, path, None).await;
        assert_eq!(refused.status, 405, "{path}");
        assert_eq!(refused.body, json!({"detail": "Method Not Allowed"}), "{path}");
        assert!(refused.allow.split(',').any(|method| method == allowed), "{refused:?}");
    }
}

fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, member)| match member.as_str() {
                Some(target) if name == "$ref" => vec![target],
                _ => references(member),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
