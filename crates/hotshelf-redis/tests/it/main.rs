//! Tests of the Redis backend on real servers. Each test starts its own.
#![expect(clippy::unwrap_used, reason = "tests")]

mod addresses;
mod client;
mod cluster;
mod conformance;
mod credentials;
mod crossing;
mod differential;
mod faults;
mod large;
mod load;
mod log;
mod middleboxes;
mod network;
mod operations;
mod optimistic;
mod patterns;
mod pub_sub;
mod sentinels;
mod servers;
mod storm;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod tracking;
