//! What trusted callers ask for by `Cache-Control`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::routing::get;
use axum::{Extension, Json, Router};
use hotshelf::{Cache, CacheControl, Store, TrustCacheControl};
use tower::ServiceExt;

type Shared = (Cache<u32>, Arc<AtomicU32>);

async fn number(State((cache, loads)): State<Shared>, control: CacheControl) -> Json<Arc<u32>> {
    let load = async || loads.fetch_add(1, Ordering::SeqCst) + 1;
    Json(cache.entry("k").cache_control(control).or_insert_with(load).await)
}

async fn got(app: &Router, headers: &[&str]) -> String {
    let mut request = Request::get("/");
    for header in headers {
        request = request.header("cache-control", *header);
    }
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn only_trusted_callers_reload_and_bypass() {
    let cache = Store::memory().cache("numbers").build().unwrap();
    let strangers = Router::new().route("/", get(number)).with_state((cache, Arc::default()));
    let trusted = strangers.clone().layer(Extension(TrustCacheControl));
    assert_eq!(got(&strangers, &[]).await, "1");
    assert_eq!(got(&strangers, &["no-cache"]).await, "1");
    assert_eq!(got(&trusted, &[]).await, "1");
    assert_eq!(got(&trusted, &["max-age=60", "private"]).await, "1");
    assert_eq!(got(&trusted, &["no-cache"]).await, "2");
    assert_eq!(got(&strangers, &["no-store"]).await, "2", "it was stored");
    assert_eq!(got(&trusted, &["private, No-Store", "no-cache"]).await, "3");
    assert_eq!(got(&strangers, &[]).await, "2", "it was not stored");
    assert_eq!(got(&trusted, &["max-age=0"]).await, "4");
    assert_eq!(got(&strangers, &[]).await, "4");
}
