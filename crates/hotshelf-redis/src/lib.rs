//! The Redis and Valkey backend of [hotshelf](https://docs.rs/hotshelf).
//!
//! [`RedisBackend`] executes the operations of the consistency protocol: a hit is one
//! native command, scripts run on misses only. All callers share one connection to each
//! server (RESP3, or RESP2 where a server knows no other; `TCP_NODELAY`, keepalive). It
//! comes up in the background and comes back by itself, with jittered back-off; while it is
//! down, every operation fails at once.
//!
//! Servers stand alone, behind Sentinels or in a Cluster; [`RedisOptions::from_url`] says
//! how to name them.
//!
//! An entry is plain JSON at its plain key. Beside it, and only while a fill is in
//! flight, stands a lease at `hs:l:{key}`; see the `names` module for the exact rule.
//!
//! Nothing in here knows a socket but the transport ([`Transport`]): the feature `tokio`
//! brings one, another event loop brings its own.
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `tokio` | yes | TCP and Unix sockets by tokio |
//! | `sockets` | with `tokio` | `watch_peer`, for the sockets of another event loop |
//! | `tls` | no | `rediss://` by rustls, certificates verified |
#![forbid(unsafe_code)]

mod backend;
mod client;
mod connection;
mod errors;
mod info;
mod link;
mod names;
mod options;
#[cfg(feature = "sockets")]
mod peer;
mod scripts;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tokio")]
mod tokio;
mod topology;
mod tracking;
mod transport;

pub use backend::RedisBackend;
pub use client::{Expiry, Message, PubSub, RedisClient, Reply, Scan, Script, SetIf, SetOptions};
pub use connection::{ByteStream, Ended, Rest, Session};
pub use hotshelf_wire::{Endpoint, Tracking};
pub use options::{Address, Credentials, CredentialsProvider, RedisOptions};
#[cfg(feature = "sockets")]
pub use peer::watch_peer;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsStream};
pub use transport::{Carrier, Transport};
