//! Scripts of one's own.

use hotshelf_core::Error;
use hotshelf_wire::resp::Command;

use super::{RedisClient, Reply};
use crate::scripts;

/// A Lua script, sent by its hash, and by its text to a server that doesn't know it.
///
/// ```no_run
/// # async fn example(redis: hotshelf_redis::RedisClient) -> Result<(), hotshelf_core::Error> {
/// use hotshelf_redis::Script;
///
/// let add = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
/// let sum = redis.run_script(&add, &["sum"], &["5"]).await?.integer()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Script {
    text: String,
    hash: String,
}

impl Script {
    /// Takes a script's text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { hash: scripts::hash_of(&text), text }
    }

    /// Gives the name under which a server keeps the script.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    fn command<K: AsRef<[u8]>, A: AsRef<[u8]>>(
        &self,
        [name, script]: [&str; 2],
        keys: &[K],
        arguments: &[A],
    ) -> Command {
        let command = Command::new(name).arg(script).number(keys.len() as u64);
        command.args(keys).args(arguments)
    }
}

impl RedisClient {
    /// Runs a script on keys, which in a Cluster have to lie in one slot.
    ///
    /// Costs one round trip, or two if the server doesn't know the script yet.
    ///
    /// # Errors
    /// As [`RedisClient::command`].
    ///
    /// # Cancel safety
    /// As [`RedisClient::command`].
    pub async fn run_script<K: AsRef<[u8]>, A: AsRef<[u8]>>(
        &self,
        script: &Script,
        keys: &[K],
        arguments: &[A],
    ) -> Result<Reply, Error> {
        let by_hash = script.command(["EVALSHA", &script.hash], keys, arguments);
        match self.send(by_hash, self.store_timeout).await {
            // That it is unknown means that it wasn't executed.
            Err(error) if error.kind() == hotshelf_core::ErrorKind::NoScript => {
                let by_text = script.command(["EVAL", &script.text], keys, arguments);
                self.send(by_text, self.store_timeout).await
            }
            outcome => outcome,
        }
    }
}
