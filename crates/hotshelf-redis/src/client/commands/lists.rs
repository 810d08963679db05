//! Lists.

use bytes::Bytes;
use hotshelf_core::Error;

use super::{RedisClient, on};

/// Lists.
impl RedisClient {
    /// Adds items at the beginning and returns the length of the list.
    pub async fn lpush<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        items: &[V],
    ) -> Result<u64, Error> {
        self.count(on("LPUSH", key).args(items)).await
    }

    /// Adds items at the end and returns the length of the list.
    pub async fn rpush<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        items: &[V],
    ) -> Result<u64, Error> {
        self.count(on("RPUSH", key).args(items)).await
    }

    /// Removes and returns the first item.
    pub async fn lpop(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        self.bytes(on("LPOP", key)).await
    }

    /// Removes and returns the last item.
    pub async fn rpop(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        self.bytes(on("RPOP", key)).await
    }

    /// Reads the items from one position to another, both included; -1 is the last.
    pub async fn lrange(
        &self,
        key: impl AsRef<[u8]>,
        first: i64,
        last: i64,
    ) -> Result<Vec<Bytes>, Error> {
        self.all_bytes(on("LRANGE", key).arg(first.to_string()).arg(last.to_string())).await
    }

    /// Returns the length of a list.
    pub async fn llen(&self, key: impl AsRef<[u8]>) -> Result<u64, Error> {
        self.count(on("LLEN", key)).await
    }
}
