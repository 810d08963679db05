//! The protocol of Redis and Valkey without sockets: bytes in, bytes out.
//!
//! Nothing in here opens a connection, looks at a clock or spawns a task. A driver hands
//! over what it has read and the time, and sends what it is given: the same code runs on
//! tokio, on a Python event loop and in a test that splits its input at every byte.
#![forbid(unsafe_code)]

mod handshake;
mod pipeline;
pub mod resp;

pub use handshake::{Handshake, Login, Progress};
pub use pipeline::{Event, Pipeline, Unasked};
