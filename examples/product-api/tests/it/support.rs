//! The service in the test process, on its own backend.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{AGE, ALLOW, CACHE_STATUS, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use axum::http::{Method, Request};
use hotshelf::{NearOptions, Store};
use hotshelf_testkit::RedisServer;
use product_api::{App, Config, Db};
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) struct TestApp {
    router: Router,
    /// Direct access to the caches.
    pub(crate) app: App,
    /// Direct access to the database, bypassing the cache.
    pub(crate) db: Db,
    pub(crate) redis: Option<RedisServer>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) allow: String,
    pub(crate) cache_status: String,
    pub(crate) age: String,
    pub(crate) retry_after: String,
    /// The JSON of the body, or a string if it is not JSON.
    pub(crate) body: Value,
}

impl TestApp {
    pub(crate) async fn in_memory() -> Self {
        Self::on(Store::memory(), None).await
    }

    pub(crate) async fn on_redis() -> Self {
        let redis = RedisServer::start().unwrap();
        Self::on(Store::connect(&redis.url()).await.unwrap(), Some(redis)).await
    }

    /// With a near tier in front of Redis.
    pub(crate) async fn near_redis() -> Self {
        let redis = RedisServer::start().unwrap();
        let near = NearOptions::default();
        Self::on(Store::builder().url(redis.url()).near(near).build().unwrap(), Some(redis)).await
    }

    /// Starts the service in memory, on Redis, and with a near tier in front of Redis.
    pub(crate) async fn on_each_backend() -> [Self; 3] {
        [Self::in_memory().await, Self::on_redis().await, Self::near_redis().await]
    }

    pub(crate) async fn on(store: Store, redis: Option<RedisServer>) -> Self {
        let db = Db::open("sqlite::memory:").await.unwrap();
        let app = App::new(store, db.clone()).unwrap();
        Self { router: app.clone().into_router(), app, db, redis }
    }

    /// With settings by their names.
    pub(crate) fn configured(store: Store, db: Db, settings: &[(&str, &str)]) -> Self {
        let setting = |name: &str| settings.iter().find(|(known, _)| *known == name);
        let config = Config::read(|name| Some(setting(name)?.1.to_owned())).unwrap();
        let app = App::configured(store, db.clone(), &config).unwrap();
        Self { router: app.clone().into_router(), app, db, redis: None }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn put(&self, path: &str) -> Answer {
        self.call(Method::PUT, path, None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    pub(crate) async fn post_batch(&self, products: Value) -> Answer {
        self.call(Method::POST, "/products/batch", Some(&products)).await
    }

    /// Returns the number of loads from the database.
    pub(crate) async fn loads(&self) -> u64 {
        self.counter("loads").await
    }

    /// Returns a counter, over all caches.
    pub(crate) async fn counter(&self, name: &str) -> u64 {
        let info = self.get("/cache/info").await.ok();
        let counter = |cache: &Value| cache[name].as_u64().unwrap();
        info["caches"].as_array().unwrap().iter().map(counter).sum()
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = match body {
            Some(body) => request
                .header(CONTENT_TYPE, "application/json")
                .body(Body::from(serde_json::to_vec(body).unwrap())),
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let header = |name: HeaderName| {
            let value = headers.get(name);
            value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body =
            serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
        Answer {
            status,
            content_type: header(CONTENT_TYPE),
            allow: header(ALLOW),
            cache_status: header(CACHE_STATUS),
            age: header(AGE),
            retry_after: header(RETRY_AFTER),
            body,
        }
    }
}

impl Answer {
    /// Returns the body. Panics if the response is not a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }
}

/// Returns a product as sent by a client.
pub(crate) fn product(id: &str, category: &str) -> Value {
    json!({
        "id": id,
        "name": "new",
        "category": category,
        "price": 1.5,
        "in_stock": true,
        "created_at": "2026-01-02T03:04:05",
    })
}
