//! The Redis backend against real servers that each test starts for itself.
#![expect(clippy::unwrap_used, reason = "tests")]

mod client;
mod conformance;
mod crossing;
mod differential;
mod faults;
mod patterns;
mod support;
#[cfg(feature = "tls")]
mod tls;
