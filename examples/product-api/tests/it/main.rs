//! Tests of the product API over HTTP.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod caching;
mod documentation;
mod golden_traces;
mod outages;
mod process;
mod support;
mod validation;
mod writes;
