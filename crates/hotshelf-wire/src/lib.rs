//! The protocol of Redis and Valkey without sockets: bytes in, bytes out.
//!
//! Nothing in here opens a connection, looks at a clock or spawns a task. A driver hands
//! over what it has read and the time, and sends what it is given: the same code runs on
//! tokio, on a Python event loop and in a test that splits its input at every byte.
//!
//! | module | holds |
//! | --- | --- |
//! | [`resp`] | commands and values as bytes |
//! | [`Pipeline`] | commands on their way on one connection, and whose reply has come |
//! | [`Handshake`] | what is said first on a connection |
//! | [`cluster`] | who owns which slot of a Cluster, and when to ask again |
//! | [`sentinel`] | finding the primary of a service by its Sentinels |
#![forbid(unsafe_code)]

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
