//! The raw client, for full control.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hotshelf_core::{Error, ErrorKind, Runtime};
use redis::Pipeline;
use tokio::time::{Instant, timeout_at};

use crate::errors;
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
    pub(crate) read_timeout: Duration,
    pub(crate) store_timeout: Duration,
    /// Whether it was said that an ACL forbids scripts.
    warned_of_acl: Arc<AtomicBool>,
}

impl RedisClient {
    pub(crate) fn new(options: &RedisOptions, runtime: Arc<dyn Runtime>) -> Result<Self, Error> {
        Ok(Self {
            link: Arc::new(Link::new(options, runtime)?),
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
        only(self.pipeline(&[command]).await?)
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
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for command in commands {
            let Some((name, arguments)) = command.as_ref().split_first() else {
                return Err(Error::new(ErrorKind::Configuration, "a command needs a name"));
            };
            let mut packed = redis::Cmd::new();
            packed.arg(name.as_ref());
            arguments.iter().for_each(|argument| {
                packed.arg(argument.as_ref());
            });
            pipeline.add_command(packed);
        }
        self.send(&pipeline, self.store_timeout).await
    }

    /// Sends a pipeline and gives its answers in order, until a deadline.
    pub(crate) async fn send(
        &self,
        pipeline: &Pipeline,
        timeout: Duration,
    ) -> Result<Vec<Reply>, Error> {
        self.send_until(pipeline, Instant::now() + timeout).await
    }

    pub(crate) async fn send_until(
        &self,
        pipeline: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Reply>, Error> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection =
            timeout_at(deadline, self.link.connection()).await.map_err(|_| {
                // Nothing was sent, so nothing is unknown.
                Error::new(ErrorKind::Unavailable, "the server can't be reached in time")
            })??;
        let sent = Instant::now();
        let exchange = connection.driver.send_packed_commands(pipeline, 0, pipeline.len());
        let Ok(exchanged) = timeout_at(deadline, exchange).await else {
            self.link.timed_out(&connection, sent);
            return Err(Error::new(ErrorKind::Timeout, "the server didn't answer in time"));
        };
        match exchanged {
            Ok(values) => {
                self.link.answered(&connection);
                Ok(values.into_iter().map(Reply::from).collect())
            }
            Err(error) => {
                if error.is_io_error() || error.is_unrecoverable_error() {
                    self.link.broke(&connection);
                }
                Err(errors::from_redis(error))
            }
        }
    }

    /// Sends one command.
    pub(crate) async fn send_one(
        &self,
        command: redis::Cmd,
        timeout: Duration,
    ) -> Result<Reply, Error> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command);
        only(self.send(&pipeline, timeout).await?)
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

/// Gives the answer to a single command.
pub(crate) fn only(replies: Vec<Reply>) -> Result<Reply, Error> {
    replies.into_iter().next().unwrap_or(Reply::Nil).ok()
}
