//! Endpoints that report the state of the service.

use axum::Json;
use axum::extract::State;
use hotshelf::Store;
use serde::Serialize;
use utoipa::ToSchema;

use super::info::CacheReport;
use crate::db::Db;

#[derive(Serialize, ToSchema)]
pub(super) struct Index {
    docs: &'static str,
    openapi: &'static str,
    products: &'static str,
    cache_info: &'static str,
    health: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    status: Status,
    cache: CacheHealth,
    database: Reach,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CacheHealth {
    backend: &'static str,
    /// Milliseconds of a round trip; null if the backend does not answer.
    ping_ms: Option<f64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    Healthy,
    Degraded,
}

#[derive(PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Reach {
    Up,
    Down,
}

/// Returns links to the other endpoints.
#[utoipa::path(get, path = "/", responses((status = 200, body = Index)))]
pub(super) async fn index() -> Json<Index> {
    Json(Index {
        docs: "/docs",
        openapi: "/openapi.json",
        products: "/products",
        cache_info: "/cache/info",
        health: "/health",
    })
}

/// Reports whether cache and database answer. The status is always 200: without its cache, the
/// service is slower but not down.
#[utoipa::path(get, path = "/health", responses((status = 200, body = Health)))]
pub(super) async fn health(State(store): State<Store>, State(db): State<Db>) -> Json<Health> {
    let (ping, answer) = tokio::join!(store.ping(), db.ping());
    let ping = ping.ok();
    let database = if answer.is_ok() { Reach::Up } else { Reach::Down };
    let healthy = ping.is_some() && database == Reach::Up;
    Json(Health {
        status: if healthy { Status::Healthy } else { Status::Degraded },
        cache: CacheHealth {
            backend: store.backend(),
            ping_ms: ping.map(|time| time.as_secs_f64() * 1e3),
        },
        database,
    })
}

/// Returns figures of the server and of each cache.
#[utoipa::path(get, path = "/cache/info", responses((status = 200, body = CacheReport)))]
pub(super) async fn cache_info(State(store): State<Store>) -> Json<CacheReport> {
    Json(store.info().await.into())
}

/// Returns the metrics of the caches, in the text format of Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(super) async fn metrics(State(store): State<Store>) -> String {
    store.metrics().to_string()
}
