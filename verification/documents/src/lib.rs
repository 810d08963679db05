//! Compiles and runs the examples of the project's README, and of pages of `docs`, as documentation
//! tests. They are not in a published crate, because the packages do not contain these files.

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/migrating-from-cached.md")]
mod migrating_from_cached {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/migrating-from-moka.md")]
mod migrating_from_moka {}
