//! Strings and numbers.

use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::Error;
use hotshelf_wire::resp::Command;

use super::{RedisClient, Reply, on};
use crate::client::BATCH;

/// The options of [`RedisClient::set_with`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetOptions {
    /// The time to live. Default: no expiry.
    pub expiry: Expiry,
    /// The condition. Default: none.
    pub only: SetIf,
}

/// The time to live of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiry {
    /// No expiry.
    #[default]
    Never,
    /// This time to live, in milliseconds, at least one.
    After(Duration),
    /// The remaining time to live of the replaced value.
    Keep,
}

/// The condition under which a value is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetIf {
    /// No condition.
    #[default]
    Always,
    /// The key doesn't exist.
    Missing,
    /// The key exists.
    Present,
}

/// Strings and numbers.
impl RedisClient {
    /// Reads a value.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        self.bytes(on("GET", key)).await
    }

    /// Sets a value without expiry.
    pub async fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.done(on("SET", key).arg(value)).await
    }

    /// Sets a value; returns `true` if the condition was met.
    pub async fn set_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: SetOptions,
    ) -> Result<bool, Error> {
        let command = options.add_to(on("SET", key).arg(value));
        Ok(!matches!(self.reply(command).await?, Reply::Nil))
    }

    /// Sets a value without expiry and returns the previous one.
    pub async fn replace(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<Option<Bytes>, Error> {
        self.bytes(on("SET", key).arg(value).arg("GET")).await
    }

    /// Reads values in the order of their keys, from any nodes.
    pub async fn mget<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Bytes>>, Error> {
        if !self.is_cluster() && !keys.is_empty() {
            let mut values = Vec::with_capacity(keys.len());
            for keys in keys.chunks(BATCH) {
                let items = self.reply(Command::new("MGET").args(keys)).await?.array()?;
                for item in items {
                    values.push(item.bytes()?);
                }
            }
            return Ok(values);
        }
        let requests: Vec<_> = keys.iter().map(|key| on("GET", key).into()).collect();
        let replies = self.send_all(&requests, self.store_timeout).await;
        replies.into_iter().map(Reply::bytes).collect()
    }

    /// Sets values without expiry. Not atomic.
    pub async fn mset<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        pairs: &[(K, V)],
    ) -> Result<(), Error> {
        let requests: Vec<_> =
            pairs.iter().map(|(key, value)| on("SET", key).arg(value).into()).collect();
        let replies = self.send_all(&requests, self.store_timeout).await;
        replies.into_iter().try_for_each(|reply| reply.ok().map(drop))
    }

    /// Adds to a number, 0 if the key doesn't exist, and returns the sum.
    pub async fn incr_by(&self, key: impl AsRef<[u8]>, by: i64) -> Result<i64, Error> {
        self.number(on("INCRBY", key).arg(by.to_string())).await
    }

    /// Appends to a value and returns the new length.
    pub async fn append(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<u64, Error> {
        self.count(on("APPEND", key).arg(value)).await
    }
}

impl SetOptions {
    fn add_to(self, command: Command) -> Command {
        let command = match self.expiry {
            Expiry::Never => command,
            Expiry::After(duration) => {
                let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                command.arg("PX").number(millis.max(1))
            }
            Expiry::Keep => command.arg("KEEPTTL"),
        };
        match self.only {
            SetIf::Always => command,
            SetIf::Missing => command.arg("NX"),
            SetIf::Present => command.arg("XX"),
        }
    }
}
