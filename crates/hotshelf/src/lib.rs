//! A typed cache for services on tokio: in the process's memory, or on Redis or Valkey.
//!
//! ```
//! use std::sync::Arc;
//!
//! use axum::{Json, Router, extract::{Path, State}, routing::get};
//! use hotshelf::{Cache, Store};
//!
//! async fn product(State(products): State<Cache<String>>, Path(id): Path<u64>) -> Json<Arc<String>> {
//!     Json(products.get_or_insert_with(id, async || format!("product {id}, from the database")).await)
//! }
//!
//! # fn main() -> Result<(), hotshelf::Error> {
//! let products = Store::memory().cache::<String>("products").build()?;
//! let app: Router = Router::new().route("/products/{id}", get(product)).with_state(products);
//! # Ok(())
//! # }
//! ```
//!
//! - A [`Store`] is a backend and its connection: [`Store::memory`] needs no server,
//!   [`Store::connect`] takes a URL. A [`Cache`] is a typed view of a store.
//! - [`Cache::get_or_try_insert_with`] reads a value or loads it. Of all concurrent callers,
//!   in all processes, one runs its loader.
//! - [`Cache::invalidate`] removes an entry and revokes the loads in flight, so that none of
//!   them stores an outdated value.
//! - Cache failures never reach handlers that don't ask for them: the loader runs instead.
//!   Each failure is counted in [`Cache::stats`], and [`Cache::fallible`] reports it.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `memory` | yes | the embedded backend |
//! | `redis` | no | Redis and Valkey over TCP and Unix sockets: standalone, Sentinel and Cluster |
//! | `tls` | no | Redis and Valkey over TLS, with rustls |
//! | `macros` | no | the attribute [`cached`](macro@cached) |
//! | `uuid` | no | `uuid::Uuid` as a key |
//! | `msgpack` | no | [`codec::MessagePack`] |
//! | `axum` | no | `IntoResponse` for [`LoadError`], and the extractor `CacheControl` |
//! | `metrics` | no | [`MetricsReporter`], for the exporters of the `metrics` crate |
//! | `test-util` | no | `testing`: a store with simulated time and injected failures, for your tests |
//!
//! With `tls`, the first store of a process installs *ring* as the cryptography provider of
//! rustls, unless the program has already installed one.
//!
//! Stores and caches run on tokio.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "memory", feature = "redis")))]
compile_error!("hotshelf needs a backend: enable the feature `memory` or `redis`");

mod after_commit;
/// The trait of backends, for implementing your own, and its operations.
///
/// Pass your backend to [`StoreBuilder::backend`]. A [`Layer`](backend::Layer) wraps another
/// backend and changes some of its operations.
pub mod backend {
    pub use hotshelf_core::backend::*;
    pub use hotshelf_core::trailer::MAGIC;
}
mod cache;
#[cfg(feature = "axum")]
mod cache_control;
/// How values are encoded: the trait of codecs, and the codecs.
pub mod codec {
    #[cfg(feature = "msgpack")]
    pub use hotshelf_core::codec::MessagePack;
    pub use hotshelf_core::codec::{BoxError, Bytes, Codec, Json, Raw};
}
mod invalidation;
mod load_error;
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod macros;
#[cfg(feature = "metrics")]
mod metrics_reporter;
/// Metrics and events of a store.
pub mod observe {
    pub use hotshelf_core::observe::*;
}
mod runtime;
mod store;
#[cfg(feature = "test-util")]
pub mod testing;

pub use after_commit::{AfterCommit, Committed};
pub use cache::{
    Cache, CacheBuilder, CacheValue, Entry, Fallible, FallibleEntry, FillTicket, LoadContext,
    Loading, Lookup, Warm, Warmed, Written,
};
#[cfg(feature = "axum")]
pub use cache_control::{CacheControl, TrustCacheControl};
pub use hotshelf_core::cache::{
    CacheInfo, EntryInfo, Explanation, Foreign, MissReason, Outcome, Source, TagInfo, Trace,
    Unfinished, Verdict,
};
pub use hotshelf_core::near::{ConsistencyToken, NearInfo, NearOptions};
pub use hotshelf_core::{
    Backend, BoxFuture, CacheStats, Error, ErrorKind, IntoKey, Jitter, Key, KeyLayout, Moment,
    Params, ParamsError, Pattern, Remaining, Runtime, ServerInfo, Ttl, WireKey,
};
#[cfg(feature = "macros")]
pub use hotshelf_macros::cached;
#[cfg(feature = "redis")]
pub use hotshelf_redis::{
    Credentials, CredentialsProvider, Expiry, Message, Optimistic, PubSub, RedisClient,
    RedisOptions, Reply, Scan, Script, SetIf, SetOptions, TlsOptions, Tracking,
};
pub use invalidation::{Applied, Invalidation};
pub use load_error::LoadError;
#[cfg(feature = "metrics")]
pub use metrics_reporter::MetricsReporter;
pub use store::{Store, StoreBuilder, StoreInfo};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
