//! The servers, and messages.

use hotshelf_core::Error;
use hotshelf_wire::resp::Command;

use super::{RedisClient, Reply, on};

/// The servers, and messages.
impl RedisClient {
    /// Asks whether a server answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.done(Command::new("PING")).await
    }

    /// Gives what a server says of itself; in a Cluster it is one of the primaries.
    pub async fn info(&self) -> Result<String, Error> {
        let text = self.bytes(Command::new("INFO")).await?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Says how many keys there are, on all primaries together.
    pub async fn dbsize(&self) -> Result<u64, Error> {
        self.command_on_each(&["DBSIZE"]).await?.into_iter().map(Reply::count).sum()
    }

    /// Publishes a message, and says how many listeners of the server were given it.
    pub async fn publish(
        &self,
        channel: impl AsRef<[u8]>,
        message: impl AsRef<[u8]>,
    ) -> Result<u64, Error> {
        self.count(on("PUBLISH", channel).arg(message)).await
    }
}
