//! The Redis and Valkey backend of [hotshelf](https://docs.rs/hotshelf).
//!
//! [`RedisBackend`] executes the operations of the consistency protocol: a hit is one native
//! command, scripts run on misses only. All callers share one connection to each server (RESP3,
//! or RESP2 for servers without it; `TCP_NODELAY`, keepalive). It is opened and reopened in the
//! background, with jittered back-off; while it is down, every operation fails at once.
//!
//! Servers can be standalone, behind Sentinels or in a Cluster: see [`RedisOptions::from_url`].
//!
//! An entry is plain JSON, stored under its plain key. While a fill is in flight, its lease is
//! stored under `hs:l:{key}`; the `names` module documents the exact rule.
//!
//! Only the [`Transport`] uses sockets: the feature `tokio` provides one, other event loops
//! bring their own.
//!
//! | feature | default | adds |
//! | --- | --- | --- |
//! | `tokio` | yes | TCP and Unix sockets of tokio |
//! | `sockets` | with `tokio` | `watch_peer`, for the sockets of another event loop |
//! | `tls` | no | `rediss://` with rustls, certificates verified |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Modules depend in one direction, from left to right:
//
//   backend → client → topology → link → transport → connection → errors
//
// `tokio`, `tls`, `addresses` and `peer` implement the transport; `options` and `names` depend on none of
// these. Within a folder, `mod.rs` depends on its files and not the other way round, unless
// they extend its type.
mod addresses;
mod backend;
mod client;
mod connection;
mod errors;
mod link;
mod names;
mod options;
#[cfg(feature = "sockets")]
mod peer;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tokio")]
mod tokio;
mod topology;
mod transport;

pub use addresses::connect_to_any;
pub use backend::LeaseState;
pub use backend::RedisBackend;
pub use client::{Expiry, Optimistic, PubSub, RedisClient, Reply, Scan, Script, SetIf, SetOptions};
pub use connection::{ByteStream, CloseReason, DriverStatus, Message, Session};
pub use errors::is_connection_lost;
pub use hotshelf_wire::{Endpoint, Tracking};
pub use names::{LEASE_PREFIX, lease as lease_name};
pub use options::{
    Address, Credentials, CredentialsProvider, DEFAULT_CONNECT_TIMEOUT, DEFAULT_READ_TIMEOUT,
    DEFAULT_STORE_TIMEOUT, RedisOptions, TlsOptions,
};
#[cfg(feature = "sockets")]
pub use peer::watch_peer;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsConnector, TlsStream};
pub use transport::{Carrier, Peer, Transport};
