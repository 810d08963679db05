//! The engine of [hotshelf](https://docs.rs/hotshelf): keys, times to live, the
//! backend's protocol operations, and the flights that keep concurrent callers from
//! computing one value twice.
//!
//! Applications use the `hotshelf` crate; this one is for those who write a backend,
//! a runtime or a binding. It knows no async runtime, no Redis, no wall clock and no
//! environment: all of these come in through two traits, [`Backend`] and [`Runtime`].
//!
//! | module | holds |
//! | --- | --- |
//! | [`key`] | how a namespace, an identifier and parameters become the key of an entry |
//! | [`ttl`] | lifetimes and their jitter |
//! | [`codec`] | values as bytes |
//! | [`trailer`] | what an entry says of itself, in white space behind its JSON |
//! | [`tag`] | names by which many entries are invalidated at once |
//! | [`backend`] | the operations of the consistency protocol that a backend executes |
//! | [`engine`] | flights and tickets: who loads, who waits, who is given which value |
//! | [`runtime`] | time, background work and randomness, all injected |
//! | [`backoff`] | pauses between attempts: bounded doubling with jitter |
#![forbid(unsafe_code)]

pub mod backend;
pub mod backoff;
pub mod codec;
pub mod engine;
mod error;
pub mod key;
pub mod runtime;
mod stats;
mod sync;
pub mod tag;
pub mod trailer;
pub mod ttl;

pub use backend::{Backend, ServerInfo};
pub use engine::Engine;
pub use error::{Error, ErrorKind};
pub use key::{Key, KeyLayout, Namespace, Params, ParamsError, Pattern, WireKey};
pub use runtime::{BoxFuture, Moment, Runtime};
pub use stats::{CacheStats, Counter, Stats};
pub use ttl::{Jitter, Remaining, Ttl};
