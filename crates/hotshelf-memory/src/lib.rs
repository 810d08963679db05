//! The embedded backend of [hotshelf](https://docs.rs/hotshelf): entries in the
//! process's own memory, bounded by bytes.
//!
//! [`MemoryBackend`] executes the operations of the consistency protocol atomically, each
//! under the lock of its key's shard. Entries live in a `quick_cache` (S3-FIFO-like
//! eviction); it knows no expiry, so every entry carries its own, checked when read.
#![forbid(unsafe_code)]

mod backend;
mod entry;
mod leases;
mod tags;

pub use backend::MemoryBackend;
