//! The embedded backend of [hotshelf](https://docs.rs/hotshelf): entries in the process's
//! memory, bounded by bytes.
//!
//! [`MemoryBackend`] executes the operations of the consistency protocol atomically, each under
//! the lock of its key's shard. Entries are stored in a `quick_cache` (S3-FIFO-like eviction)
//! without built-in expiry: every entry holds its own, which is checked on reads. The versions
//! of tags are stored among them, and count into the capacity.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod entry;
mod leases;
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod testing;

pub use backend::{DEFAULT_CAPACITY, MemoryBackend};
