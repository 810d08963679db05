//! A sans-I/O implementation of the Redis and Valkey protocol: bytes in, bytes out.
//!
//! This crate opens no connections, reads no clock and spawns no tasks. A driver passes in
//! received bytes and the current time, and sends the bytes that it gets back: the same code
//! runs on tokio, on a Python event loop and in a test that splits its input at every byte.
//! Instants have a type of the caller's choice.
//!
//! | item | purpose |
//! | --- | --- |
//! | [`resp`] | encoding commands, decoding values |
//! | [`Pipeline`] | commands in flight on one connection, matched with their replies |
//! | [`Handshake`] | the first commands on a connection |
//! | [`cluster`] | the slot map of a Cluster, redirections, and when to fetch the map again |
//! | [`sentinel`] | discovery of the primary of a service through its Sentinels |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod cluster;
mod endpoint;
mod handshake;
mod keys;
mod pipeline;
pub mod resp;
pub mod sentinel;
mod slot;

pub use endpoint::Endpoint;
pub use handshake::{Agreed, Handshake, Login, Progress, Tracking};
pub use pipeline::{Event, GRACE, Pipeline};
pub use slot::{SLOTS, hash_tag, slot};
