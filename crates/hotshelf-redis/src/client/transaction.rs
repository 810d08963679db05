//! Transactions: commands between `MULTI` and `EXEC`.

use hotshelf_core::Error;
use hotshelf_wire::resp::{Command, Value};

use super::{RedisClient, Reply};
use crate::connection::Request;

impl RedisClient {
    /// Executes several commands as a transaction (`MULTI`, `EXEC`) and returns their replies
    /// in order: no commands of other clients run in between. In a Cluster all keys have to be
    /// in one slot.
    ///
    /// A command that fails ([`Reply::Error`]) doesn't stop the others. If one is invalid,
    /// none is executed. A server or an ACL that refuses `MULTI` executes them one by one, and
    /// the error says that it does.
    ///
    /// # Errors
    /// Same as [`RedisClient::command`]. After an error either all or none of them were
    /// executed, unless it is that of `MULTI`.
    ///
    /// # Cancel safety
    /// Same as [`RedisClient::command`].
    pub async fn transaction<C, A>(&self, commands: &[C]) -> Result<Vec<Reply>, Error>
    where
        C: AsRef<[A]>,
        A: AsRef<[u8]>,
    {
        let requests = self.enclosed(commands)?;
        let replies = self.servers.current()?.send_together(&requests, self.store_timeout).await?;
        executed(replies)?.array()
    }

    /// Encloses commands in `MULTI` and `EXEC`.
    pub(super) fn enclosed<C, A>(&self, commands: &[C]) -> Result<Vec<Request>, Error>
    where
        C: AsRef<[A]>,
        A: AsRef<[u8]>,
    {
        let mut requests = vec![Command::new("MULTI").into()];
        for command in commands {
            requests.push(self.packed(command.as_ref())?.queued().into());
        }
        requests.push(Command::new("EXEC").into());
        Ok(requests)
    }
}

/// Returns the reply of `EXEC`, or the error why nothing was executed, from the replies to
/// [enclosed](RedisClient::enclosed) commands.
pub(super) fn executed(mut replies: Vec<Value>) -> Result<Reply, Error> {
    if let Some(Value::Error(_)) = replies.first() {
        return Reply::from(replies.swap_remove(0)).ok();
    }
    let executed = Reply::from(replies.pop().unwrap_or(Value::Nil));
    if !matches!(executed, Reply::Error(_)) {
        return Ok(executed);
    }
    // The error of the command is more specific than that of `EXEC`.
    let mut replies = replies.into_iter().map(Reply::from);
    let reason = replies.find(|reply| matches!(reply, Reply::Error(_)));
    reason.unwrap_or(executed).ok()
}
