//! What a request asks of caches.

use std::convert::Infallible;

use axum_core::extract::FromRequestParts;
use http::header::CACHE_CONTROL;
use http::request::Parts;

use crate::cache::{CacheValue, Entry};

/// What the caller of a request asks of caches by `Cache-Control` (RFC 9111, section 5.2.1), as an
/// extractor: nothing, unless the request is [trusted](TrustCacheControl).
///
/// | directive | effect on [`Entry::cache_control`] |
/// | --- | --- |
/// | `no-cache`, `max-age=0` | [`reload`](Entry::reload): the value is loaded, and stored |
/// | `no-store` | [`bypass`](Entry::bypass): the value is loaded, and not stored |
///
/// ```
/// use std::sync::Arc;
///
/// use axum::{Extension, Json, Router, extract::{Path, State}, routing::get};
/// use hotshelf::{Cache, CacheControl, TrustCacheControl};
///
/// async fn price(
///     State(prices): State<Cache<u32>>,
///     Path(id): Path<u64>,
///     control: CacheControl,
/// ) -> Json<Arc<u32>> {
///     Json(prices.entry(id).cache_control(control).or_insert_with(async || 5).await)
/// }
///
/// # let prices = hotshelf::Store::memory().cache::<u32>("prices").build().unwrap();
/// let internal: Router = Router::new()
///     .route("/prices/{id}", get(price))
///     .layer(Extension(TrustCacheControl))
///     .with_state(prices);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheControl {
    /// Nothing.
    #[default]
    Unspecified,
    /// A value that is loaded anew.
    NoCache,
    /// The same, which is not to be stored.
    NoStore,
}

/// Marks a request whose `Cache-Control` counts: an extension of the request, by a layer for trusted
/// routes, or by your authentication. A stranger who may reload values can overload the source.
#[derive(Clone, Copy, Debug)]
pub struct TrustCacheControl;

impl<S: Sync> FromRequestParts<S> for CacheControl {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        if parts.extensions.get::<TrustCacheControl>().is_none() {
            return Ok(Self::Unspecified);
        }
        let headers = parts.headers.get_all(CACHE_CONTROL).iter();
        let texts = headers.filter_map(|header| header.to_str().ok());
        let asked = texts.flat_map(|text| text.split(',')).map(str::trim);
        Ok(asked.fold(Self::Unspecified, Self::and))
    }
}

impl CacheControl {
    /// Adds a directive. Of several, the strictest counts.
    fn and(self, directive: &str) -> Self {
        let is = |name: &str| directive.eq_ignore_ascii_case(name);
        match self {
            Self::NoStore => self,
            _ if is("no-store") => Self::NoStore,
            _ if is("no-cache") || is("max-age=0") => Self::NoCache,
            _ => self,
        }
    }
}

impl<T: CacheValue> Entry<'_, T> {
    /// Does what a trusted caller asks for; see [`CacheControl`].
    pub fn cache_control(self, control: CacheControl) -> Self {
        match control {
            CacheControl::Unspecified => self,
            CacheControl::NoCache => self.reload(),
            CacheControl::NoStore => self.bypass(),
        }
    }
}
