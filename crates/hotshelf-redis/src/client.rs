//! The raw client, for full control.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hotshelf_core::{Error, ErrorKind, Moment, Runtime};
use hotshelf_wire::resp::Command;

use crate::link::Link;
use crate::options::RedisOptions;
use crate::reply::Reply;

/// The server itself, past all that a cache does: any command, any pipeline.
///
/// It shares the cache's connection, so that commands which change a connection's state
/// or block it (`SELECT`, `SUBSCRIBE`, `MULTI` on its own, `BLPOP`) don't belong here.
/// Writing to the keys of a cache through it, the cache's guarantees don't hold.
#[derive(Clone, Debug)]
pub struct RedisClient {
    link: Arc<Link>,
    runtime: Arc<dyn Runtime>,
    pub(crate) read_timeout: Duration,
    pub(crate) store_timeout: Duration,
    /// Whether it was said that an ACL forbids scripts.
    warned_of_acl: Arc<AtomicBool>,
}

impl RedisClient {
    pub(crate) fn new(options: &RedisOptions, runtime: Arc<dyn Runtime>) -> Result<Self, Error> {
        Ok(Self {
            link: Arc::new(Link::new(options, Arc::clone(&runtime))?),
            runtime,
            read_timeout: options.read_timeout,
            store_timeout: options.store_timeout,
            warned_of_acl: Arc::default(),
        })
    }

    /// Sends one command and gives its answer.
    ///
    /// Costs one round trip; it waits for at most the store's `store_timeout`.
    ///
    /// ```no_run
    /// # async fn example(redis: hotshelf_redis::RedisClient) -> Result<(), hotshelf_core::Error> {
    /// let visits = redis.command(&["INCR", "visits"]).await?.integer()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The server's own, or of kind [`ErrorKind::Unavailable`] or [`ErrorKind::Timeout`].
    ///
    /// # Cancel safety
    /// Dropping it leaves open whether the server executes the command.
    pub async fn command<A: AsRef<[u8]>>(&self, command: &[A]) -> Result<Reply, Error> {
        self.send(packed(command)?, self.store_timeout).await
    }

    /// Sends several commands at once and gives their answers in order.
    ///
    /// Costs one round trip. It is no transaction: other clients' commands may run in
    /// between, and a command that fails ([`Reply::Error`]) doesn't stop the others.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Unavailable`] or [`ErrorKind::Timeout`], for all together.
    ///
    /// # Cancel safety
    /// As [`RedisClient::command`].
    pub async fn pipeline<C, A>(&self, commands: &[C]) -> Result<Vec<Reply>, Error>
    where
        C: AsRef<[A]>,
        A: AsRef<[u8]>,
    {
        let commands: Result<Vec<Command>, Error> =
            commands.iter().map(|command| packed(command.as_ref())).collect();
        self.send_all(&commands?, self.deadline(self.store_timeout)).await
    }

    /// Sends a command and gives its answer.
    pub(crate) async fn send(&self, command: Command, timeout: Duration) -> Result<Reply, Error> {
        let deadline = self.deadline(timeout);
        let connection = self.link.connection(deadline).await?;
        Reply::from(connection.ask(&command, deadline).await?).ok()
    }

    /// Sends commands at once and gives their answers in order.
    pub(crate) async fn send_all(
        &self,
        commands: &[Command],
        deadline: Moment,
    ) -> Result<Vec<Reply>, Error> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let connection = self.link.connection(deadline).await?;
        let values = connection.ask_all(commands, deadline).await?;
        Ok(values.into_iter().map(Reply::from).collect())
    }

    /// Gives the moment until which an answer is waited for that is asked for now.
    pub(crate) fn deadline(&self, timeout: Duration) -> Moment {
        self.runtime.now() + timeout
    }

    /// Says once what every load would be told anew.
    pub(crate) fn warn_of_acl(&self, error: &Error) {
        if !self.warned_of_acl.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "nothing can be stored in the cache");
        }
    }

    pub(crate) fn close(&self) {
        self.link.close();
    }
}

fn packed<A: AsRef<[u8]>>(command: &[A]) -> Result<Command, Error> {
    match command.split_first() {
        Some((name, arguments)) => Ok(Command::new(name).args(arguments)),
        None => Err(Error::new(ErrorKind::Configuration, "a command needs a name")),
    }
}

/// Gives the answer to a single command.
pub(crate) fn only(replies: Vec<Reply>) -> Result<Reply, Error> {
    replies.into_iter().next().unwrap_or(Reply::Nil).ok()
}
