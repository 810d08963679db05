//! Sets.

use bytes::Bytes;
use hotshelf_core::Error;

use super::{RedisClient, on};

/// Sets.
impl RedisClient {
    /// Adds members and returns how many are new.
    pub async fn sadd<M: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        members: &[M],
    ) -> Result<u64, Error> {
        self.count(on("SADD", key).args(members)).await
    }

    /// Removes members and returns how many existed.
    pub async fn srem<M: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        members: &[M],
    ) -> Result<u64, Error> {
        self.count(on("SREM", key).args(members)).await
    }

    /// Reads all members, unordered.
    pub async fn smembers(&self, key: impl AsRef<[u8]>) -> Result<Vec<Bytes>, Error> {
        self.all_bytes(on("SMEMBERS", key)).await
    }

    /// Returns `true` if the set has a member.
    pub async fn sismember(
        &self,
        key: impl AsRef<[u8]>,
        member: impl AsRef<[u8]>,
    ) -> Result<bool, Error> {
        Ok(self.number(on("SISMEMBER", key).arg(member)).await? == 1)
    }

    /// Returns the number of members.
    pub async fn scard(&self, key: impl AsRef<[u8]>) -> Result<u64, Error> {
        self.count(on("SCARD", key)).await
    }
}
