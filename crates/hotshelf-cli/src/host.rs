//! What opens connections.

use hotshelf_core::{ByteStore, Error};
use hotshelf_redis::{RedisClient, RedisOptions};

/// Opens connections, on the runtime that [`run`](crate::run) is polled on.
pub trait Host: Send + Sync {
    /// Creates a store for a server. It connects on first use.
    ///
    /// # Errors
    /// If the options are invalid.
    fn connect(&self, options: &RedisOptions) -> Result<Connection, Error>;
}

/// A store, and the raw client on the same connections.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The store.
    pub store: ByteStore,
    /// The raw client.
    pub redis: RedisClient,
}
