//! The commands that people use most, with their types.
//!
//! Each costs one round trip, errs as [`RedisClient::command`] does, and leaves open whether
//! the server executes it if it is dropped. What isn't here goes by
//! [`RedisClient::command`].

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

/// Begins a command on a key.
fn on(name: &str, key: impl AsRef<[u8]>) -> Command {
    Command::new(name).arg(key)
}

/// The kinds of answers.
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

    /// Counts over commands of one key each, in one round trip: keys may lie on several
    /// nodes.
    async fn count_each<K: AsRef<[u8]>>(&self, name: &str, keys: &[K]) -> Result<u64, Error> {
        let requests: Vec<_> = keys.iter().map(|key| on(name, key).into()).collect();
        let replies = self.send_all(&requests, self.deadline(self.store_timeout)).await;
        replies.into_iter().map(Reply::count).sum()
    }
}
