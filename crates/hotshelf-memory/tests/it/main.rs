//! The memory backend from outside.

#![expect(clippy::unwrap_used, reason = "tests")]

mod conformance;
mod limits;
