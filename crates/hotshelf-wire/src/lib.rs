//! The protocol of Redis and Valkey without sockets: bytes in, bytes out.
//!
//! Nothing in here opens a connection, reads a clock or spawns a task. A driver passes in the
//! bytes that it has read and the current time, and sends the bytes that it is given: the same
//! code runs on tokio, on a Python event loop and in a test that splits its input at every
//! byte. Instants are of the caller's own type, as long as it can be copied and compared.
//!
//! | module | holds |
//! | --- | --- |
//! | [`resp`] | commands and values as bytes |
//! | [`Pipeline`] | the commands in flight on one connection, matched with their replies |
//! | [`Handshake`] | the first commands on a connection |
//! | [`cluster`] | which node of a Cluster owns which slot, and when to ask again |
//! | [`sentinel`] | finding the primary of a service through its Sentinels |
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
pub use pipeline::{Event, Pipeline};
pub use slot::{SLOTS, hash_tag, slot};
