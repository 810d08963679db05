//! The state of the service and its router.

use std::time::Duration;

use axum::Router;
use axum::extract::FromRef;
use hotshelf::{Cache, KeyLayout, Store};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::db::Db;
use crate::product::{Product, ProductList};
use crate::routes;

const PRODUCT_TTL: Duration = Duration::from_secs(900);
const PAGE_TTL: Duration = Duration::from_secs(180);
/// The time to live of negatives, for unknown ids.
const UNKNOWN_TTL: Duration = Duration::from_secs(30);

/// The shared state of the handlers; each extracts its part with `State`.
#[derive(Clone, Debug, FromRef)]
pub struct App {
    store: Store,
    db: Db,
    products: Cache<Product>,
    pages: Cache<ProductList>,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Product API",
    description = "A catalogue of products, cached by hotshelf in memory or on Redis."
))]
struct Description;

impl App {
    /// Creates the caches of the service on a store.
    ///
    /// The keys are the same as in the original: `api:v1:products:1` for a product, and
    /// `api:v1:products:list:` with a hash of the query for a page.
    ///
    /// # Errors
    /// Fails if the store already has such a cache with other options.
    pub fn new(store: Store, db: Db) -> Result<Self, hotshelf::Error> {
        let products = store
            .cache("products")
            .key_layout(KeyLayout::FastapiRc)
            .prefix("api")
            .version("v1")
            .time_to_live(PRODUCT_TTL)
            .negative_ttl(UNKNOWN_TTL)
            .build()?;
        let pages = store
            .cache("products")
            .key_layout(KeyLayout::FastapiRc)
            .prefix("api")
            .version("v1")
            .time_to_live(PAGE_TTL)
            .build()?;
        Ok(Self { store, db, products, pages })
    }

    /// Builds the router, with its description at `/openapi.json` and a page to try it at `/docs`.
    pub fn into_router(self) -> Router {
        let (router, description) = OpenApiRouter::with_openapi(Description::openapi())
            .merge(routes::products())
            .merge(routes::operations())
            .split_for_parts();
        router
            .merge(SwaggerUi::new("/docs").url("/openapi.json", description))
            .fallback(routes::not_found)
            .method_not_allowed_fallback(routes::method_not_allowed)
            .with_state(self)
    }
}
