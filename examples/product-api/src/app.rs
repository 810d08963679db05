//! The state of the service and its router.

use std::time::Duration;

use axum::Router;
use axum::extract::FromRef;
use hotshelf::{Cache, KeyLayout, Store};
use hotshelf_axum::AdminPage;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::config::Config;
use crate::db::Db;
use crate::product::{Product, ProductList};
use crate::routes;
use crate::staleness::Staleness;

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
    #[from_ref(skip)]
    extras: Extras,
}

/// What differs from the defaults, and what the service offers beside its API.
#[derive(Clone, Copy, Debug, Default)]
struct Extras {
    /// How long values are fresh, in place of the defaults.
    time_to_live: Option<Duration>,
    explains: bool,
    has_admin_page: bool,
    is_demo: bool,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Product API",
    description = "A catalogue of products, cached by hotshelf in memory or on Redis."
))]
struct Description;

impl App {
    /// Creates the service on a store, with the default settings; see [`App::configured`].
    ///
    /// # Errors
    /// Same as [`App::configured`].
    pub fn new(store: Store, db: Db) -> Result<Self, hotshelf::Error> {
        Self::with(store, db, Staleness::default(), Extras::default())
    }

    /// Creates the service on a store.
    ///
    /// The keys are the same as in the original: `api:v1:products:1` for a product, and
    /// `api:v1:products:list:` with a hash of the query for a page.
    ///
    /// # Errors
    /// Fails if the store already has such a cache with other options, or if they contradict each
    /// other.
    pub fn configured(store: Store, db: Db, config: &Config) -> Result<Self, hotshelf::Error> {
        let Config { time_to_live, is_debug: explains, has_admin_page, is_demo, .. } = *config;
        let extras = Extras { time_to_live, explains, has_admin_page, is_demo };
        Self::with(store, db, config.staleness, extras)
    }

    fn with(
        store: Store,
        db: Db,
        staleness: Staleness,
        extras: Extras,
    ) -> Result<Self, hotshelf::Error> {
        let products = store
            .cache("products")
            .key_layout(KeyLayout::FastapiRc)
            .prefix("api")
            .version("v1")
            .time_to_live(extras.time_to_live.unwrap_or(PRODUCT_TTL))
            .negative_ttl(UNKNOWN_TTL);
        let products = staleness.on_failure(products).build()?;
        let pages = store
            .cache("products")
            .key_layout(KeyLayout::FastapiRc)
            .prefix("api")
            .version("v1")
            .time_to_live(extras.time_to_live.unwrap_or(PAGE_TTL))
            .stale_while_revalidate(staleness.while_revalidating);
        let pages = staleness.on_failure(pages).build()?;
        Ok(Self { store, db, products, pages, extras })
    }

    /// Returns the cache of products.
    #[must_use]
    pub fn products(&self) -> &Cache<Product> {
        &self.products
    }

    /// Returns the cache of pages.
    #[must_use]
    pub fn pages(&self) -> &Cache<ProductList> {
        &self.pages
    }

    /// Builds the router, with its description at `/openapi.json` and a page to try it at `/docs`.
    pub fn into_router(self) -> Router {
        let mut router = OpenApiRouter::with_openapi(Description::openapi())
            .merge(routes::products())
            .merge(routes::operations());
        if self.extras.explains {
            router = router.merge(routes::explain());
        }
        let (mut router, description) = router.split_for_parts();
        if self.extras.is_demo {
            router = router.merge(routes::demo());
        }
        if self.extras.has_admin_page {
            let page = AdminPage::new(&self.store).insecure_open().writes(true).values(true);
            router = router.merge(page.at("/admin").expect("the page is open, and the path valid"));
        }
        router
            .merge(SwaggerUi::new("/docs").url("/openapi.json", description))
            .fallback(routes::not_found)
            .method_not_allowed_fallback(routes::method_not_allowed)
            .with_state(self)
    }
}
