//! The examples in the project's README, compiled by the tests of documentation. They stand
//! outside of the published crates, whose packages don't hold that file.

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
