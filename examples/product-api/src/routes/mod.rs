//! The endpoints.

mod demo;
mod explain;
mod info;
mod operations;
mod products;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::{AppError, detail};
pub(crate) use demo::demo;

/// axum's `Path`, with our error response.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(AppError))]
struct Path<T>(T);

/// Returns the endpoints that read and write products.
pub(crate) fn products() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(products::list))
        .routes(routes!(products::find))
        .routes(routes!(products::create_batch))
        // The path of the batch shadows the product with the id `batch`.
        .route("/products/batch", get(products::find_batch))
        .routes(routes!(products::set_stock))
        .routes(routes!(products::delete_category))
}

/// Returns the endpoints that report the state of the service.
pub(crate) fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(operations::index))
        .routes(routes!(operations::health))
        .routes(routes!(operations::cache_info))
        .routes(routes!(operations::metrics))
}

/// Returns the endpoints that explain what is in the cache: keys, ages and tags, which not every
/// client should see.
pub(crate) fn explain() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(explain::product)).routes(routes!(explain::page))
}

pub(crate) async fn not_found() -> Response {
    detail(StatusCode::NOT_FOUND, "Not Found")
}

pub(crate) async fn method_not_allowed() -> Response {
    detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}
