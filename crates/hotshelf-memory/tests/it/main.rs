//! The memory backend from outside.

mod conformance;
mod limits;
