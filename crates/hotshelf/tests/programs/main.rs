//! Programs as users of the crate write them, with nothing but its public API.
#![cfg(all(feature = "axum", feature = "test-util", feature = "uuid"))]
#![expect(clippy::unwrap_used, reason = "tests")]

mod axum_anyhow;
mod axum_thiserror;
mod keys;
mod library;
mod tower_middleware;
mod warm_up;
