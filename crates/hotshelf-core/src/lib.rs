//! The engine of [hotshelf](https://docs.rs/hotshelf): keys, lifetimes, tags, the operations
//! of a backend, and the flights that keep concurrent callers from loading one value twice.
//!
//! Applications use the `hotshelf` crate. This one is for authors of a backend, a runtime or a
//! binding to another language. It knows no async runtime, no Redis, no wall clock and no
//! environment: all of these are injected through the traits [`Backend`] and [`Runtime`].
//!
//! | module | holds |
//! | --- | --- |
//! | [`cache`] | everything that a cache decides without knowing the type of its values |
//! | [`codec`] | values and their encoded form |
//! | [`key`] | how a namespace, an identifier and parameters become the key of an entry |
//! | [`ttl`] | lifetimes and their jitter |
//! | [`tag`] | names that invalidate many entries at once |
//! | `engine` | flights, leases and tickets: which caller loads, which ones wait, and for which value |
//! | [`trailer`] | the metadata of an entry, in white space behind its JSON |
//! | `context` | the options of a cache with their defaults, and the state that its calls share |
//! | `gate` | the only path from a cache to its backend |
//! | [`near`] | the near tier: entries in the memory of the process, in front of a server |
//! | `outage` | the behaviour while the server is unreachable |
//! | [`backend`] | the operations of the consistency protocol that a backend executes |
//! | [`backoff`] | pauses between attempts |
//! | [`shards`] | the number of shards of a table of entries |
//! | [`sync`] | locks that aren't poisoned |
//! | [`runtime`] | time, background work and randomness, all injected |
//! | [`timeout`] | timeouts that don't count the process's own busy time |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod backend;
pub mod backoff;
pub mod cache;
pub mod codec;
mod context;
mod engine;
mod error;
mod gate;
pub mod key;
pub mod near;
pub mod observe;
mod outage;
pub mod runtime;
pub mod shards;
mod stats;
pub mod sync;
pub mod tag;
pub mod timeout;
pub mod trailer;
pub mod ttl;

pub use backend::{BATCH, Backend, ServerInfo};
pub use cache::{ByteCache, ByteStore};
pub use error::{Error, ErrorKind};
pub use key::{IntoKey, Key, KeyLayout, Namespace, Params, ParamsError, Pattern, WireKey};
pub use runtime::{BoxFuture, Moment, Runtime};
pub use stats::{CacheStats, Counter, Stats};
pub use tag::TagId;
pub use ttl::{Jitter, Remaining, Ttl};
