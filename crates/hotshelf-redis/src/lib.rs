//! The Redis and Valkey backend of [hotshelf](https://docs.rs/hotshelf).
//!
//! [`RedisBackend`] executes the operations of the consistency protocol: a hit is one
//! native command, scripts run on misses only. All callers share one connection (RESP3, or
//! RESP2 where a server knows no other; `TCP_NODELAY`, keepalive). It comes up in the
//! background and comes back by itself, with jittered back-off; while it is down, every
//! operation fails at once.
//!
//! An entry is plain JSON at its plain key. Beside it, and only while a fill is in
//! flight, stands a lease at `hs:l:{key}`; see the `names` module for the exact rule.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `tls` | `rediss://` by rustls, certificates verified |
#![forbid(unsafe_code)]

mod backend;
mod client;
mod connection;
mod errors;
mod info;
mod link;
mod names;
mod options;
mod reply;
mod scan;
mod scripts;
#[cfg(feature = "tls")]
mod tls;

pub use backend::RedisBackend;
pub use client::RedisClient;
pub use options::RedisOptions;
pub use reply::Reply;
