//! Sorted sets: members and their scores.

use bytes::Bytes;
use hotshelf_core::Error;
use hotshelf_wire::resp::Command;

use super::{RedisClient, Reply, on};

/// Sorted sets.
impl RedisClient {
    /// Adds members with their scores, or updates their scores; returns how many are new.
    pub async fn zadd<M: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        members: &[(f64, M)],
    ) -> Result<u64, Error> {
        let add = |command: Command, (score, member): &(f64, M)| {
            command.arg(score.to_string()).arg(member)
        };
        self.count(members.iter().fold(on("ZADD", key), add)).await
    }

    /// Removes members and returns how many existed.
    pub async fn zrem<M: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        members: &[M],
    ) -> Result<u64, Error> {
        self.count(on("ZREM", key).args(members)).await
    }

    /// Returns the score of a member.
    pub async fn zscore(
        &self,
        key: impl AsRef<[u8]>,
        member: impl AsRef<[u8]>,
    ) -> Result<Option<f64>, Error> {
        match self.reply(on("ZSCORE", key).arg(member)).await? {
            Reply::Nil => Ok(None),
            reply => reply.double().map(Some),
        }
    }

    /// Reads the members from one position to another in the order of their scores, both
    /// included; -1 is the last.
    pub async fn zrange(
        &self,
        key: impl AsRef<[u8]>,
        first: i64,
        last: i64,
    ) -> Result<Vec<Bytes>, Error> {
        self.all_bytes(on("ZRANGE", key).arg(first.to_string()).arg(last.to_string())).await
    }

    /// Adds to the score of a member and returns the sum.
    pub async fn zincr_by(
        &self,
        key: impl AsRef<[u8]>,
        by: f64,
        member: impl AsRef<[u8]>,
    ) -> Result<f64, Error> {
        self.reply(on("ZINCRBY", key).arg(by.to_string()).arg(member)).await?.double()
    }

    /// Returns the number of members.
    pub async fn zcard(&self, key: impl AsRef<[u8]>) -> Result<u64, Error> {
        self.count(on("ZCARD", key)).await
    }
}
