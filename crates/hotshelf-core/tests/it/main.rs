//! Tests of the core's public API.
#![expect(clippy::unwrap_used, reason = "tests")]

mod golden_keys;
mod lost_tracking;
mod outage_log;
mod params_python;
mod simulation;
mod trailer_readers;
mod unused_leases;
