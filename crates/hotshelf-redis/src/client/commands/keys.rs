//! Keys of any type.

use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::{Error, Remaining};

use super::{RedisClient, on};

/// Keys of any type.
impl RedisClient {
    /// Removes keys, and says how many there were. Their memory is freed in the background.
    pub async fn unlink<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<u64, Error> {
        let keys: Vec<Bytes> =
            keys.iter().map(|key| Bytes::copy_from_slice(key.as_ref())).collect();
        self.unlink_all(&keys).await
    }

    /// Says how many of these keys there are.
    pub async fn exists<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<u64, Error> {
        self.count_each("EXISTS", keys).await
    }

    /// Lets a key end after a time, counted in milliseconds; says whether there is one.
    pub async fn expire(&self, key: impl AsRef<[u8]>, after: Duration) -> Result<bool, Error> {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        Ok(self.number(on("PEXPIRE", key).number(millis)).await? == 1)
    }

    /// Lets a key live for ever; says whether it would have ended.
    pub async fn persist(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.number(on("PERSIST", key)).await? == 1)
    }

    /// Says how long a key still lives.
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
