//! Keys of any type.

use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::{Error, Remaining};
use hotshelf_wire::resp::Command;

use super::{RedisClient, Reply, on};
use crate::client::BATCH;

/// Keys of any type.
impl RedisClient {
    /// Removes keys and returns how many existed. Their memory is freed in the background.
    pub async fn unlink<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<u64, Error> {
        let keys: Vec<Bytes> =
            keys.iter().map(|key| Bytes::copy_from_slice(key.as_ref())).collect();
        self.unlink_all(&keys).await
    }

    /// Removes any number of keys on any nodes and returns how many existed. Sends a [`BATCH`]
    /// of commands in each round trip, each with a [`BATCH`] of keys, in a Cluster with one
    /// key.
    pub(crate) async fn unlink_all(&self, keys: &[Bytes]) -> Result<u64, Error> {
        // One command can't contain keys of several slots.
        let at_once = if self.is_cluster() { 1 } else { BATCH };
        let removals = |remove: &Command| {
            keys.chunks(at_once).map(|keys| remove.clone().args(keys).into()).collect()
        };
        let replies = self.send_removals(removals).await;
        replies.into_iter().map(Reply::count).sum()
    }

    /// Returns how many of these keys exist.
    pub async fn exists<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<u64, Error> {
        self.count_each("EXISTS", keys).await
    }

    /// Sets the time to live of a key, in milliseconds; returns `true` if the key exists.
    pub async fn expire(&self, key: impl AsRef<[u8]>, after: Duration) -> Result<bool, Error> {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        Ok(self.number(on("PEXPIRE", key).number(millis)).await? == 1)
    }

    /// Removes the time to live of a key; returns `true` if it had one.
    pub async fn persist(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.number(on("PERSIST", key)).await? == 1)
    }

    /// Returns the remaining time to live of a key.
    pub async fn remaining(&self, key: impl AsRef<[u8]>) -> Result<Remaining, Error> {
        self.remaining_within(key.as_ref(), self.store_timeout).await
    }

    pub(crate) async fn remaining_within(
        &self,
        key: &[u8],
        timeout: Duration,
    ) -> Result<Remaining, Error> {
        match self.send(on("PTTL", key), timeout).await?.integer()? {
            -2 => Ok(Remaining::Missing),
            -1 => Ok(Remaining::Persistent),
            millis => {
                let millis = u64::try_from(millis).unwrap_or_default();
                Ok(Remaining::After(Duration::from_millis(millis)))
            }
        }
    }
}
