//! Compiles the examples of the project's README as documentation tests. They are not in a
//! published crate, because the packages do not contain that file.

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
