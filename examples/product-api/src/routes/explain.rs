//! Endpoints that explain what a request would find in the cache, for debugging.

use axum::Json;
use axum::extract::State;
use hotshelf::{Cache, Explanation};

use super::Path;
use super::products::entry_of;
use crate::error::{AppError, Detail};
use crate::product::{ListQuery, Product, ProductList};
use crate::validation::{Invalid, ValidQuery};

/// Explains what a request for a product would find in the cache.
#[utoipa::path(
    get,
    path = "/cache/explain/products/{id}",
    params(("id" = String, Path)),
    responses((status = 200, body = serde_json::Value), (status = 503, body = Detail))
)]
pub(super) async fn product(
    State(products): State<Cache<Product>>,
    Path(id): Path<String>,
) -> Result<Json<Explanation>, AppError> {
    Ok(Json(products.explain(id.as_str()).await?))
}

/// Explains what a request for a page would find in the cache.
#[utoipa::path(
    get,
    path = "/cache/explain/products",
    params(ListQuery),
    responses(
        (status = 200, body = serde_json::Value),
        (status = 422, body = Invalid),
        (status = 503, body = Detail),
    )
)]
pub(super) async fn page(
    State(pages): State<Cache<ProductList>>,
    ValidQuery(query): ValidQuery<ListQuery>,
) -> Result<Json<Explanation>, AppError> {
    Ok(Json(entry_of(&pages, &query)?.explain().await?))
}
