//! The raw client, for full control.

mod commands;
pub(crate) mod pub_sub;
mod reply;
mod scan;
mod script;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hotshelf_core::{Error, ErrorKind, Moment, Runtime};
use hotshelf_wire::resp::{Command, Value};

use crate::connection::{Listener, Request};
use crate::options::RedisOptions;
use crate::topology::Topology;
use crate::transport::Transport;

/// How many commands are sent at once where there may be any number. A connection takes no
/// more than 65,536.
const TURN: usize = 1000;
pub use commands::{Expiry, SetIf, SetOptions};
pub use pub_sub::{Message, PubSub};
pub use reply::Reply;
pub use scan::Scan;
pub use script::Script;

/// The servers themselves, past all that a cache does: any command, any pipeline.
///
/// It shares the cache's connections, so that commands which change a connection's state
/// or block it (`SELECT`, `CLIENT TRACKING`, `MULTI` on its own, `BLPOP`) don't belong here;
/// for `SUBSCRIBE` there is [`RedisClient::pub_sub`], for `MULTI` there is
/// [`RedisClient::transaction`]. Writing to the keys of a cache through it, the cache's
/// guarantees don't hold.
///
/// In a Cluster a command goes to the node that owns its first key, and follows where it is
/// told to go. One without a key goes to any primary.
///
/// All methods wait for at most the store's `store_timeout`, or for what
/// [`RedisClient::with_timeout`] says, scans and subscriptions for each of their steps, and
/// cost one round trip unless they say otherwise. Dropping one leaves open whether the server
/// executes the command; it disturbs no other.
#[derive(Clone)]
pub struct RedisClient {
    topology: Arc<Topology>,
    runtime: Arc<dyn Runtime>,
    pub(crate) read_timeout: Duration,
    pub(crate) store_timeout: Duration,
    /// Whether it was said that an ACL forbids scripts.
    warned_of_acl: Arc<AtomicBool>,
}

impl RedisClient {
    pub(crate) fn new(
        options: &RedisOptions,
        transport: Arc<dyn Transport>,
        runtime: Arc<dyn Runtime>,
        listener: Arc<dyn Listener>,
    ) -> Self {
        let topology = Topology::new(options, transport, Arc::clone(&runtime), listener);
        Self {
            topology: Arc::new(topology),
            runtime,
            read_timeout: options.read_timeout,
            store_timeout: options.store_timeout,
            warned_of_acl: Arc::default(),
        }
    }

    /// Gives a client on the same connections whose calls wait for up to `timeout`: for
    /// reports and long walks. What the store's caches wait for stays as it is.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// Sends one command and gives its answer.
    ///
    /// ```no_run
    /// # async fn example(redis: hotshelf_redis::RedisClient) -> Result<(), hotshelf_core::Error> {
    /// let visits = redis.command(&["INCR", "visits"]).await?.integer()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The server's own, by their kinds ([`ErrorKind::WrongType`],
    /// [`ErrorKind::OutOfMemory`], [`ErrorKind::Server`] …), or of kind
    /// [`ErrorKind::Unavailable`] or [`ErrorKind::Timeout`].
    ///
    /// # Cancel safety
    /// Dropping it leaves open whether the server executes the command.
    pub async fn command<A: AsRef<[u8]>>(&self, command: &[A]) -> Result<Reply, Error> {
        self.send(packed(command)?, self.store_timeout).await
    }

    /// Sends several commands at once and gives their answers in order.
    ///
    /// It is no transaction: other clients' commands may run in between, and a command that
    /// fails ([`Reply::Error`]) doesn't stop the others. In a Cluster each command goes to
    /// its own node, and all nodes are asked side by side.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for a command without a name; of kind
    /// [`ErrorKind::Unavailable`] or [`ErrorKind::Timeout`] if no server has answered any of
    /// them.
    ///
    /// # Cancel safety
    /// As [`RedisClient::command`].
    pub async fn pipeline<C, A>(&self, commands: &[C]) -> Result<Vec<Reply>, Error>
    where
        C: AsRef<[A]>,
        A: AsRef<[u8]>,
    {
        let requests = packed_all(commands)?;
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = self.deadline(self.store_timeout);
        let replies = self.topology.ask_all(&requests, deadline).await;
        match replies.iter().all(Result::is_err) {
            true => replies.into_iter().map(|reply| reply.map(Reply::from)).collect(),
            false => Ok(replies.into_iter().map(Reply::from_answer).collect()),
        }
    }

    /// Executes several commands as one (`MULTI`, `EXEC`) and gives their answers in order:
    /// no other client's commands run in between. In a Cluster all keys have to lie in one
    /// slot.
    ///
    /// A command that fails ([`Reply::Error`]) doesn't stop the others, but one that isn't
    /// understood stops all.
    ///
    /// # Errors
    /// As [`RedisClient::command`]. What isn't executed as a whole isn't executed at all.
    ///
    /// # Cancel safety
    /// As [`RedisClient::command`].
    pub async fn transaction<C, A>(&self, commands: &[C]) -> Result<Vec<Reply>, Error>
    where
        C: AsRef<[A]>,
        A: AsRef<[u8]>,
    {
        let mut requests = vec![Command::new("MULTI").into()];
        requests.extend(packed_all(commands)?);
        requests.push(Command::new("EXEC").into());
        let deadline = self.deadline(self.store_timeout);
        let mut replies = self.topology.ask_together(&requests, deadline).await?;
        let executed = Reply::from(replies.pop().unwrap_or(Value::Nil));
        if !matches!(executed, Reply::Error(_)) {
            return executed.array();
        }
        // `EXEC` says that something was wrong, the command itself says what.
        let mut replies = replies.into_iter().map(Reply::from);
        let reason = replies.find(|reply| matches!(reply, Reply::Error(_)));
        reason.unwrap_or(executed).array()
    }

    /// Sends a command to each primary and gives their answers: `DBSIZE`, `FLUSHALL`,
    /// `SCRIPT FLUSH` mean all of a Cluster so.
    ///
    /// # Errors
    /// As [`RedisClient::command`], if one of them fails.
    ///
    /// # Cancel safety
    /// As [`RedisClient::command`].
    pub async fn command_on_each<A: AsRef<[u8]>>(
        &self,
        command: &[A],
    ) -> Result<Vec<Reply>, Error> {
        let request = packed(command)?.into();
        let deadline = self.deadline(self.store_timeout);
        let replies = self.topology.ask_each(&request, deadline).await?;
        replies.into_iter().map(|reply| Reply::from(reply).ok()).collect()
    }

    /// Listens to channels, on a connection of its own that is opened by the first
    /// subscription.
    #[must_use]
    pub fn pub_sub(&self) -> PubSub {
        PubSub::new(Arc::clone(&self.topology))
    }

    /// Says whether keys live on several servers.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.topology.is_cluster()
    }

    /// Sends a command and gives its answer.
    pub(crate) async fn send(
        &self,
        request: impl Into<Request>,
        timeout: Duration,
    ) -> Result<Reply, Error> {
        let reply = self.topology.ask(&request.into(), self.deadline(timeout)).await?;
        Reply::from(reply).ok()
    }

    /// Sends commands at once and gives an answer for each, in order.
    pub(crate) async fn send_all(&self, requests: &[Request], deadline: Moment) -> Vec<Reply> {
        if requests.is_empty() {
            return Vec::new();
        }
        let replies = self.topology.ask_all(requests, deadline).await;
        replies.into_iter().map(Reply::from_answer).collect()
    }

    /// Sends however many commands, so many at a time as a connection takes at once.
    pub(crate) async fn send_in_turns(&self, requests: &[Request]) -> Vec<Reply> {
        let mut replies = Vec::with_capacity(requests.len());
        for turn in requests.chunks(TURN) {
            replies.extend(self.send_all(turn, self.deadline(self.store_timeout)).await);
        }
        replies
    }

    /// Gives the moment until which an answer is waited for that is asked for now.
    pub(crate) fn deadline(&self, timeout: Duration) -> Moment {
        self.runtime.now() + timeout
    }

    /// Says whether the server of a key tells of its changes.
    pub(crate) fn is_tracking(&self, key: &[u8]) -> bool {
        self.topology.is_tracking(key)
    }

    /// Says once what every load would be told anew.
    pub(crate) fn warn_of_acl(&self, error: &Error) {
        if !self.warned_of_acl.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "nothing can be stored in the cache");
        }
    }

    pub(crate) fn close(&self) {
        self.topology.close();
    }
}

fn packed<A: AsRef<[u8]>>(command: &[A]) -> Result<Command, Error> {
    match command.split_first() {
        Some((name, arguments)) => Ok(Command::new(name).args(arguments)),
        None => Err(Error::new(ErrorKind::Configuration, "a command needs a name")),
    }
}

fn packed_all<C, A>(commands: &[C]) -> Result<Vec<Request>, Error>
where
    C: AsRef<[A]>,
    A: AsRef<[u8]>,
{
    commands.iter().map(|command| packed(command.as_ref()).map(Request::from)).collect()
}

impl fmt::Debug for RedisClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("RedisClient");
        debug.field("topology", &self.topology).finish_non_exhaustive()
    }
}
