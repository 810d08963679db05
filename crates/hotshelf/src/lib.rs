//! A typed cache for services: in the process's own memory at first, on Redis or Valkey
//! with a URL.
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
//! - A [`Store`] is a backend and the connection to it; a [`Cache`] is a typed view of it.
//! - [`Cache::get_or_try_insert_with`] reads, or loads: of all callers, in all processes,
//!   one runs its loader.
//! - [`Cache::invalidate`] removes an entry and refuses the loads that are in flight, so
//!   that none of them brings the old value back.
//! - Trouble with the backend never reaches a handler that didn't ask for it: the loader
//!   runs. It is always counted, in [`Cache::stats`].
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `memory` | yes | the embedded backend |
//! | `redis` | no | Redis and Valkey by TCP and Unix socket: one server, behind Sentinels, a Cluster |
//! | `tls` | no | the same by TLS, by rustls |
//! | `uuid` | no | keys of `uuid::Uuid` |
//! | `axum` | no | `IntoResponse` for [`LoadError`] |
//! | `test-util` | no | `testing`: a store whose time and failures your tests decide |
//!
//! With `tls`, the first store of a process chooses *ring* as rustls' cryptography, unless
//! the program has made its own choice before.
//!
//! All of it runs in tokio.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "memory", feature = "redis")))]
compile_error!("hotshelf needs a backend: enable the feature `memory` or `redis`");

/// What a backend of your own implements, and what it is asked.
///
/// [`StoreBuilder::backend`] takes it. [`Layer`](backend::Layer) wraps another backend and
/// changes some of its operations.
pub mod backend {
    pub use hotshelf_core::backend::*;
    pub use hotshelf_core::trailer::MAGIC;
}
mod cache;
mod invalidation;
mod load_error;
mod runtime;
mod store;
#[cfg(feature = "test-util")]
pub mod testing;

pub use cache::{
    Cache, CacheBuilder, CacheValue, Entry, Fallible, FallibleEntry, FillTicket, Lookup, Written,
};
pub use hotshelf_core::cache::{CacheInfo, Foreign};
pub use hotshelf_core::{
    Backend, BoxFuture, CacheStats, Error, ErrorKind, IntoKey, Jitter, Key, KeyLayout, Moment,
    Params, ParamsError, Pattern, Remaining, Runtime, ServerInfo, Ttl, WireKey,
};
#[cfg(feature = "redis")]
pub use hotshelf_redis::{
    Credentials, CredentialsProvider, Expiry, Message, PubSub, RedisClient, RedisOptions, Reply,
    Scan, Script, SetIf, SetOptions, Tracking,
};
pub use invalidation::{Applied, Invalidation};
pub use load_error::LoadError;
pub use store::{Store, StoreBuilder, StoreInfo};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
