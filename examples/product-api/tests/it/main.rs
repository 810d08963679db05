//! Tests of the product API over HTTP.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod caching;
mod database_outages;
mod documentation;
mod explanations;
mod golden_traces;
mod metrics;
mod outages;
mod process;
mod stale_values;
mod support;
mod validation;
mod writes;
