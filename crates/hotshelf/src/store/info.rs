//! What a store says of itself.

use hotshelf_core::{CacheStats, ServerInfo};
use serde::Serialize;

/// What a store and its backend are doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreInfo {
    /// The kind of backend: `memory`, `redis`.
    pub backend: &'static str,
    /// The server's URL without its password; `None` in memory.
    pub address: Option<String>,
    /// Whether the caches are on.
    pub enabled: bool,
    /// What the server says of itself; `None` if it doesn't answer.
    pub server: Option<ServerInfo>,
    /// The caches, in the order of prefix, version and name.
    pub caches: Vec<CacheInfo>,
}

/// One cache of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheInfo {
    /// The prefix of its keys.
    pub prefix: String,
    /// The version in its keys.
    pub version: Option<String>,
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub value_type: &'static str,
    /// What it has counted in this process.
    pub stats: CacheStats,
}
