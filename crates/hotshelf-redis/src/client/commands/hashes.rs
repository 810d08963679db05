//! Hashes: fields and their values.

use bytes::Bytes;
use hotshelf_core::Error;

use super::{RedisClient, on};

/// Hashes.
impl RedisClient {
    /// Reads a field.
    pub async fn hget(
        &self,
        key: impl AsRef<[u8]>,
        field: impl AsRef<[u8]>,
    ) -> Result<Option<Bytes>, Error> {
        self.bytes(on("HGET", key).arg(field)).await
    }

    /// Sets fields and returns how many are new.
    pub async fn hset<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        fields: &[(F, V)],
    ) -> Result<u64, Error> {
        let add = |command: hotshelf_wire::resp::Command, (field, value): &(F, V)| {
            command.arg(field).arg(value)
        };
        self.count(fields.iter().fold(on("HSET", key), add)).await
    }

    /// Reads all fields and their values.
    pub async fn hgetall(&self, key: impl AsRef<[u8]>) -> Result<Vec<(Bytes, Bytes)>, Error> {
        self.reply(on("HGETALL", key)).await?.pairs()
    }

    /// Removes fields and returns how many existed.
    pub async fn hdel<F: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        fields: &[F],
    ) -> Result<u64, Error> {
        self.count(on("HDEL", key).args(fields)).await
    }

    /// Adds to the number in a field, 0 if it doesn't exist, and returns the sum.
    pub async fn hincr_by(
        &self,
        key: impl AsRef<[u8]>,
        field: impl AsRef<[u8]>,
        by: i64,
    ) -> Result<i64, Error> {
        self.number(on("HINCRBY", key).arg(field).arg(by.to_string())).await
    }
}
