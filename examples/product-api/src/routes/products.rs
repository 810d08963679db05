//! Reading and writing products.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hotshelf::{AfterCommit, Cache, CacheValue, Entry, Invalidation, LoadContext, Store, Trace};
use serde::Serialize;
use utoipa::ToSchema;

use super::Path;
use crate::cache_status::Cached;
use crate::db::{self, Db, is_outage};
use crate::error::{AppError, Detail};
use crate::product::{ListQuery, Product, ProductList, StockQuery};
use crate::validation::{Invalid, ValidList, ValidQuery};

const UNKNOWN: AppError = AppError::NotFound("Product not found");

#[derive(Serialize, ToSchema)]
pub(super) struct BatchCreated {
    created: usize,
    /// Whether all products were also written to the cache.
    cached: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct StockSet {
    product_id: String,
    in_stock: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CategoryDeleted {
    category_deleted: String,
    products_deleted: usize,
    /// Entries of products; pages are not counted, since they are invalidated by tags.
    cache_entries_invalidated: u64,
}

/// Returns a product from the cache or the database.
#[utoipa::path(
    get,
    path = "/products/{id}",
    params(("id" = String, Path)),
    responses(
        (
            status = 200,
            body = Product,
            headers(
                ("Cache-Status", description = "RFC 9211; `detail=stale` for a stale value"),
                ("Age" = u64, description = "Seconds since the load; absent if it was just loaded"),
            ),
        ),
        (status = 404, body = Detail),
        (status = 503, body = Detail, description = "The database is down"),
        (status = 504, body = Detail, description = "The database takes too long"),
    )
)]
pub(super) async fn find(
    State(products): State<Cache<Product>>,
    State(db): State<Db>,
    Path(id): Path<String>,
) -> Result<Cached<Product>, AppError> {
    let trace = Trace::default();
    let load = async |context| stale_in_outages(&context, db.find(&id).await);
    let found = products.entry(id.as_str()).traced(&trace).or_load_optional(load).await?;
    found.map(|product| Cached::new(product, &trace)).ok_or(UNKNOWN)
}

/// Returns the product with the id `batch`.
pub(super) async fn find_batch(
    products: State<Cache<Product>>,
    db: State<Db>,
) -> Result<Cached<Product>, AppError> {
    find(products, db, Path("batch".to_owned())).await
}

/// Returns a page of products, of one category or of all.
#[utoipa::path(
    get,
    path = "/products",
    params(ListQuery),
    responses(
        (
            status = 200,
            body = ProductList,
            headers(
                ("Cache-Status", description = "RFC 9211; `detail=stale` for a stale value"),
                ("Age" = u64, description = "Seconds since the load; absent if it was just loaded"),
            ),
        ),
        (status = 422, body = Invalid),
        (status = 503, body = Detail, description = "The database is down"),
        (status = 504, body = Detail, description = "The database takes too long"),
    )
)]
pub(super) async fn list(
    State(pages): State<Cache<ProductList>>,
    State(db): State<Db>,
    ValidQuery(query): ValidQuery<ListQuery>,
) -> Result<Cached<ProductList>, AppError> {
    let trace = Trace::default();
    let entry = entry_of(&pages, &query)?.traced(&trace);
    // The loader owns its connections and its query: it goes on in the background when this request
    // has been answered.
    let load = |context| async move { stale_in_outages(&context, db.page(&query).await) };
    let page = entry.or_refresh_with(load).await?;
    Ok(Cached::new(page, &trace))
}

/// Creates or replaces products, all or none, and caches them.
#[utoipa::path(
    post,
    path = "/products/batch",
    request_body = Vec<Product>,
    responses(
        (status = 201, body = BatchCreated),
        (status = 422, body = Invalid),
        (status = 503, body = Detail, description = "The database is down"),
    )
)]
pub(super) async fn create_batch(
    State(store): State<Store>,
    State(products): State<Cache<Product>>,
    State(db): State<Db>,
    ValidList(batch): ValidList<Product>,
) -> Result<(StatusCode, Json<BatchCreated>), AppError> {
    let created = batch.len();
    if created == 0 {
        return Ok((StatusCode::CREATED, Json(BatchCreated { created, cached: true })));
    }
    let ids: Vec<String> = batch.iter().map(|product| product.id.clone()).collect();
    let write = async || db.upsert(&batch).await.map(|()| batch);
    let written = products.write_through_many(ids, write).await?;
    let cached = log_failure(written.cached()).is_some();
    // The products may have been in any other category before, so all pages are invalidated.
    log_failure(store.invalidate_tag(PAGES).await);
    Ok((StatusCode::CREATED, Json(BatchCreated { created, cached })))
}

/// Sets whether a product is in stock.
#[utoipa::path(
    put,
    path = "/products/{id}/stock",
    params(("id" = String, Path), StockQuery),
    responses(
        (status = 200, body = StockSet),
        (status = 404, body = Detail),
        (status = 422, body = Invalid),
        (status = 503, body = Detail, description = "The database is down"),
    )
)]
pub(super) async fn set_stock(
    State(store): State<Store>,
    State(products): State<Cache<Product>>,
    State(db): State<Db>,
    Path(product_id): Path<String>,
    ValidQuery(StockQuery { in_stock }): ValidQuery<StockQuery>,
) -> Result<Json<StockSet>, AppError> {
    let mut transaction = db.begin().await?;
    let category = db::set_stock(&mut transaction, &product_id, in_stock).await?.ok_or(UNKNOWN)?;
    let mut changes = AfterCommit::new();
    changes.invalidate(&products, &product_id);
    for tag in pages_of(&category) {
        changes.invalidate_tag(&store, tag);
    }
    log_failure(changes.commit(transaction.commit()).await?.invalidated);
    Ok(Json(StockSet { product_id, in_stock }))
}

/// Deletes the products of a category, and their entries in the cache.
#[utoipa::path(
    delete,
    path = "/categories/{id}",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = CategoryDeleted),
        (status = 503, body = Detail, description = "The database is down"),
    )
)]
pub(super) async fn delete_category(
    State(store): State<Store>,
    State(products): State<Cache<Product>>,
    State(db): State<Db>,
    Path(category_deleted): Path<String>,
) -> Result<Json<CategoryDeleted>, AppError> {
    let ids = db.delete_category(&category_deleted).await?;
    let products_deleted = ids.len();
    let mut cache_entries_invalidated = 0;
    if products_deleted > 0 {
        let removed = log_failure(products.invalidate_many(ids).await);
        cache_entries_invalidated = removed.as_ref().map_or(0, Invalidation::removed);
        log_failure(store.invalidate_tags(pages_of(&category_deleted)).await);
    }
    let deleted = CategoryDeleted { category_deleted, products_deleted, cache_entries_invalidated };
    Ok(Json(deleted))
}

/// Returns the entry of a page, with its tags.
pub(super) fn entry_of<'a>(
    pages: &'a Cache<ProductList>,
    query: &ListQuery,
) -> Result<Entry<'a, ProductList>, hotshelf::Error> {
    Ok(pages.entry("list").params(query)?.tags(tags_of(query)))
}

/// Lets a stale value answer an outage of the database, but no other error: that one is a fault of
/// the service, which must not stay unnoticed.
fn stale_in_outages<T: CacheValue, V>(
    context: &LoadContext<T>,
    loaded: Result<V, sqlx::Error>,
) -> Result<V, sqlx::Error> {
    loaded.inspect_err(|error| {
        if !is_outage(error) {
            context.reject_stale();
        }
    })
}

/// The tag of all pages.
const PAGES: &str = "product-list";

/// Returns the tags of a page: that of all pages, and that of its category.
fn tags_of(query: &ListQuery) -> [String; 2] {
    [PAGES.to_owned(), tag_of(query.category.as_deref().unwrap_or_default())]
}

/// Returns the tag of the pages of a category; `category` is empty for pages of all
/// categories.
fn tag_of(category: &str) -> String {
    format!("category:{category}")
}

/// Returns the tags of the pages that a write to products of one category may change: those of the
/// category, and those of all categories. Pages of other categories stay.
fn pages_of(category: &str) -> [String; 2] {
    [tag_of(category), tag_of("")]
}

/// Returns the result of a cache operation after a write. A failure is logged and not returned
/// to the client, since the write is committed: an outdated entry expires with its time to
/// live.
fn log_failure<T>(outcome: Result<T, hotshelf::Error>) -> Option<T> {
    outcome
        .inspect_err(|error| tracing::warn!(%error, "failed to update the cache after a write"))
        .ok()
}
