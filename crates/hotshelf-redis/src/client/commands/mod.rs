//! The most common commands, with typed replies.
//!
//! Each costs one round trip and has the errors of [`RedisClient::command`]. If it is dropped,
//! it is unknown whether the server executes it. Use [`RedisClient::command`] for other
//! commands.

mod hashes;
mod keys;
mod lists;
mod server;
mod sets;
mod sorted_sets;
mod strings;

use bytes::Bytes;
use hotshelf_core::Error;
use hotshelf_wire::resp::Command;

use super::{RedisClient, Reply};
pub use strings::{Expiry, SetIf, SetOptions};

/// Creates a command on a key.
fn on(name: &str, key: impl AsRef<[u8]>) -> Command {
    Command::new(name).arg(key)
}

/// Helpers by type of reply.
impl RedisClient {
    async fn reply(&self, command: Command) -> Result<Reply, Error> {
        self.send(command, self.store_timeout).await
    }

    async fn done(&self, command: Command) -> Result<(), Error> {
        self.reply(command).await.map(drop)
    }

    async fn number(&self, command: Command) -> Result<i64, Error> {
        self.reply(command).await?.integer()
    }

    async fn count(&self, command: Command) -> Result<u64, Error> {
        self.reply(command).await?.count()
    }

    async fn bytes(&self, command: Command) -> Result<Option<Bytes>, Error> {
        self.reply(command).await?.bytes()
    }

    async fn all_bytes(&self, command: Command) -> Result<Vec<Bytes>, Error> {
        let items = self.reply(command).await?.array()?;
        items.into_iter().map(|item| Ok(item.bytes()?.unwrap_or_default())).collect()
    }

    /// Sums the counts of commands on one key each, sent in one round trip: the keys may be on
    /// several nodes.
    async fn count_each<K: AsRef<[u8]>>(&self, name: &str, keys: &[K]) -> Result<u64, Error> {
        let requests: Vec<_> = keys.iter().map(|key| on(name, key).into()).collect();
        let replies = self.send_all(&requests, self.store_timeout).await;
        replies.into_iter().map(Reply::count).sum()
    }
}
