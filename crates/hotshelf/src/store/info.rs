//! The state of a store.

use hotshelf_core::ServerInfo;
use hotshelf_core::cache::CacheInfo;
use hotshelf_core::near::NearInfo;
use serde::Serialize;

/// The state of a store and its backend. Returned by [`Store::info`](crate::Store::info).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreInfo {
    /// The kind of backend: `memory`, `redis`.
    pub backend: &'static str,
    /// The server's URL without its password; `None` in memory.
    pub address: Option<String>,
    /// Whether the caches are enabled.
    pub enabled: bool,
    /// What the server reports about itself; `None` if it doesn't answer.
    pub server: Option<ServerInfo>,
    /// The near tier; `None` if none was asked for, or the backend can't have one. Whether its
    /// server reports changes is said in the limitations of `server`.
    pub near: Option<NearInfo>,
    /// The caches, ordered by prefix, version and name.
    pub caches: Vec<CacheInfo>,
}
