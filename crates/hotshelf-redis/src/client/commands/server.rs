//! Servers and messages.

use hotshelf_core::Error;
use hotshelf_wire::resp::Command;

use super::{RedisClient, Reply, on};

/// Servers and messages.
impl RedisClient {
    /// Checks that a server replies.
    pub async fn ping(&self) -> Result<(), Error> {
        self.done(Command::new("PING")).await
    }

    /// Returns the reply to `INFO`; in a Cluster, that of one of the primaries.
    pub async fn info(&self) -> Result<String, Error> {
        let text = self.bytes(Command::new("INFO")).await?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Returns the number of keys on all primaries.
    pub async fn dbsize(&self) -> Result<u64, Error> {
        self.command_on_each(&["DBSIZE"]).await?.into_iter().map(Reply::count).sum()
    }

    /// Publishes a message and returns how many subscribers on that server received it.
    pub async fn publish(
        &self,
        channel: impl AsRef<[u8]>,
        message: impl AsRef<[u8]>,
    ) -> Result<u64, Error> {
        self.count(on("PUBLISH", channel).arg(message)).await
    }
}
