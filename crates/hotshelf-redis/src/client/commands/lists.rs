//! Lists.

use bytes::Bytes;
use hotshelf_core::Error;

use super::{RedisClient, on};

/// Lists.
impl RedisClient {
    /// Adds items at the beginning, and gives the length of the list.
    pub async fn lpush<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        items: &[V],
    ) -> Result<u64, Error> {
        self.count(on("LPUSH", key).args(items)).await
    }

    /// Adds items at the end, and gives the length of the list.
    pub async fn rpush<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        items: &[V],
    ) -> Result<u64, Error> {
        self.count(on("RPUSH", key).args(items)).await
    }

    /// Takes the first item out.
    pub async fn lpop(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        self.bytes(on("LPOP", key)).await
    }

    /// Takes the last item out.
    pub async fn rpop(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        self.bytes(on("RPOP", key)).await
    }

    /// Reads the items from one place to another, both included; -1 is the last place.
    pub async fn lrange(
        &self,
        key: impl AsRef<[u8]>,
        first: i64,
        last: i64,
    ) -> Result<Vec<Bytes>, Error> {
        self.all_bytes(on("LRANGE", key).arg(first.to_string()).arg(last.to_string())).await
    }

    /// Gives the length of a list.
    pub async fn llen(&self, key: impl AsRef<[u8]>) -> Result<u64, Error> {
        self.count(on("LLEN", key)).await
    }
}
