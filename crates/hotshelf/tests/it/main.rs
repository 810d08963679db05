//! Tests of the public API: in memory, on a real Redis, and on simulated time.
#![cfg(all(feature = "memory", feature = "redis", feature = "test-util"))]
#![expect(clippy::unwrap_used, reason = "tests")]

mod after_commit;
mod budget;
#[cfg(feature = "axum")]
mod cache_control;
#[cfg(feature = "macros")]
mod cached;
mod codecs;
mod diagnosis;
mod endings;
mod entries;
mod flights;
mod invalid_input;
mod invalidation;
mod many;
mod many_loads;
mod metrics;
mod near;
mod negatives;
mod outage;
mod permissions;
mod plain_clients;
mod round_trips;
mod runtimes;
mod secrets;
mod sharing;
mod spans;
mod staleness;
mod stores;
mod support;
mod tags;
mod topologies;
mod trailer_formats;
mod typed_values;
mod writes;
