//! What a store reports of itself.

use hotshelf_core::ServerInfo;
use hotshelf_core::cache::CacheInfo;
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
    /// What the server reports of itself; `None` if it doesn't answer.
    pub server: Option<ServerInfo>,
    /// The caches, in the order of prefix, version and name.
    pub caches: Vec<CacheInfo>,
}
