//! The raw client: any command, on the cache's connections.

mod commands;
mod evalsha;
mod pub_sub;
mod reply;
mod scan;
mod shared;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::{Error, ErrorKind, Runtime};
use hotshelf_wire::resp::{Command, Value};

use crate::connection::{Listener, Request};
use crate::options::RedisOptions;
use crate::topology::Topologies;
use crate::transport::Transport;

pub use commands::{Expiry, SetIf, SetOptions};
pub use evalsha::Script;
pub(crate) use evalsha::ScriptCall;
/// The maximum size of one step: the commands in one round trip, the keys in one `UNLINK`, and
/// the keys that a step of a scan visits. A connection accepts at most 65,536 commands at
/// once.
pub(crate) use hotshelf_core::BATCH;
pub use pub_sub::PubSub;
pub use reply::Reply;
pub use scan::Scan;

/// Direct access to the servers, without the cache: any command, any pipeline.
///
/// It shares the cache's connections. Commands that change a connection's state or block it
/// (`SELECT`, `CLIENT TRACKING`, `BLPOP`) are refused; instead of `SUBSCRIBE` use
/// [`RedisClient::pub_sub`], instead of `MULTI` use [`RedisClient::transaction`]. If it
/// writes a cache's keys, the cache's guarantees don't hold for them.
///
/// In a Cluster a command goes to the node that owns its first key, and follows redirections.
/// A command without a key goes to any primary.
///
/// All methods wait for at most the store's `store_timeout`, or the timeout set by
/// [`RedisClient::with_timeout`] (scans and subscriptions: per step), and cost one round trip
/// unless documented otherwise. If one is dropped, it is unknown whether the server executes
/// the command; other calls are not affected.
#[derive(Clone)]
pub struct RedisClient {
    servers: Arc<Topologies>,
    pub(crate) read_timeout: Duration,
    pub(crate) store_timeout: Duration,
}

impl RedisClient {
    pub(crate) fn new(
        options: &RedisOptions,
        transport: Arc<dyn Transport>,
        runtime: Arc<dyn Runtime>,
        listener: Arc<dyn Listener>,
    ) -> Self {
        let servers = Topologies::new(options, transport, runtime, listener);
        Self {
            servers: Arc::new(servers),
            read_timeout: options.read_timeout,
            store_timeout: options.store_timeout,
        }
    }

    /// Sets the timeout of this client's calls: for reports and long scans. Default: the
    /// store's `store_timeout`. The timeouts of caches don't change.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// Sends one command and returns its reply.
    ///
    /// ```no_run
    /// # async fn example(redis: hotshelf_redis::RedisClient) -> Result<(), hotshelf_core::Error> {
    /// let visits = redis.command(&["INCR", "visits"]).await?.integer()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The server's own, by kind ([`ErrorKind::WrongType`], [`ErrorKind::OutOfMemory`],
    /// [`ErrorKind::Server`] …), or of kind [`ErrorKind::Unavailable`] or
    /// [`ErrorKind::Timeout`].
    ///
    /// # Cancel safety
    /// If dropped, it is unknown whether the server executes the command.
    pub async fn command<A: AsRef<[u8]>>(&self, command: &[A]) -> Result<Reply, Error> {
        self.send(packed(command)?, self.store_timeout).await
    }

    /// Sends several commands in one round trip for each 1,000, and returns their replies in
    /// order.
    ///
    /// This is not a transaction: commands of other clients may run in between, and a command
    /// that fails ([`Reply::Error`]) doesn't stop the others. In a Cluster each command goes to
    /// its own node, all nodes in parallel.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for a command without a name or one that is refused;
    /// of kind
    /// [`ErrorKind::Unavailable`] or [`ErrorKind::Timeout`] if no server has replied to any of
    /// them.
    ///
    /// # Cancel safety
    /// Same as [`RedisClient::command`].
    pub async fn pipeline<C, A>(&self, commands: &[C]) -> Result<Vec<Reply>, Error>
    where
        C: AsRef<[A]>,
        A: AsRef<[u8]>,
    {
        let requests = packed_all(commands)?;
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let mut replies = Vec::with_capacity(requests.len());
        for batch in requests.chunks(BATCH) {
            replies.extend(self.all(batch, self.store_timeout).await);
        }
        match replies.iter().all(Result::is_err) {
            true => replies.into_iter().map(|reply| reply.map(Reply::from)).collect(),
            false => Ok(replies.into_iter().map(Reply::from_result).collect()),
        }
    }

    /// Executes several commands as a transaction (`MULTI`, `EXEC`) and returns their replies
    /// in order: no commands of other clients run in between. In a Cluster all keys have to be
    /// in one slot.
    ///
    /// A command that fails ([`Reply::Error`]) doesn't stop the others. If one is invalid,
    /// none is executed.
    ///
    /// # Errors
    /// Same as [`RedisClient::command`]. After an error either all or none of them were
    /// executed.
    ///
    /// # Cancel safety
    /// Same as [`RedisClient::command`].
    pub async fn transaction<C, A>(&self, commands: &[C]) -> Result<Vec<Reply>, Error>
    where
        C: AsRef<[A]>,
        A: AsRef<[u8]>,
    {
        let mut requests = vec![Command::new("MULTI").into()];
        requests.extend(packed_all(commands)?);
        requests.push(Command::new("EXEC").into());
        let mut replies =
            self.servers.current()?.send_together(&requests, self.store_timeout).await?;
        let executed = Reply::from(replies.pop().unwrap_or(Value::Nil));
        if !matches!(executed, Reply::Error(_)) {
            return executed.array();
        }
        // The error of the command is more specific than that of `EXEC`.
        let mut replies = replies.into_iter().map(Reply::from);
        let reason = replies.find(|reply| matches!(reply, Reply::Error(_)));
        reason.unwrap_or(executed).array()
    }

    /// Sends a command to each primary and returns the replies: for `DBSIZE`, `FLUSHALL` or
    /// `SCRIPT FLUSH` on a whole Cluster.
    ///
    /// # Errors
    /// Same as [`RedisClient::command`], if one of them fails.
    ///
    /// # Cancel safety
    /// Same as [`RedisClient::command`].
    pub async fn command_on_each<A: AsRef<[u8]>>(
        &self,
        command: &[A],
    ) -> Result<Vec<Reply>, Error> {
        let request = packed(command)?.into();
        let replies = self.servers.current()?.send_to_each(&request, self.store_timeout).await?;
        replies.into_iter().map(|reply| Reply::from(reply).ok()).collect()
    }

    /// Returns a subscriber with a connection of its own, which the first subscription opens.
    #[must_use]
    pub fn pub_sub(&self) -> PubSub {
        PubSub::new(Arc::clone(&self.servers))
    }

    /// Returns `true` if keys are distributed over several servers.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.servers.is_cluster()
    }

    /// Sends a command and returns its reply.
    pub(crate) async fn send(
        &self,
        request: impl Into<Request>,
        timeout: Duration,
    ) -> Result<Reply, Error> {
        let reply = self.servers.current()?.send(&request.into(), timeout).await?;
        Reply::from(reply).ok()
    }

    /// Sends commands together and returns their replies in order.
    pub(crate) async fn send_all(&self, requests: &[Request], timeout: Duration) -> Vec<Reply> {
        if requests.is_empty() {
            return Vec::new();
        }
        let replies = self.all(requests, timeout).await;
        replies.into_iter().map(Reply::from_result).collect()
    }

    async fn all(&self, requests: &[Request], timeout: Duration) -> Vec<Result<Value, Error>> {
        match self.servers.current() {
            Ok(servers) => servers.send_all(requests, timeout).await,
            Err(error) => vec![Err(error); requests.len()],
        }
    }

    /// Sends any number of commands in steps of a [`BATCH`], and returns their replies in
    /// order.
    pub(crate) async fn send_in_batches(&self, requests: &[Request]) -> Vec<Reply> {
        let mut replies = Vec::with_capacity(requests.len());
        for batch in requests.chunks(BATCH) {
            replies.extend(self.send_all(batch, self.store_timeout).await);
        }
        replies
    }

    /// Returns `true` if the server of a key reports its changes.
    pub(crate) fn is_tracking(&self, key: &[u8]) -> bool {
        self.servers.current().is_ok_and(|servers| servers.is_tracking(key))
    }

    pub(crate) fn close(&self) {
        self.servers.close();
    }
}

fn packed<A: AsRef<[u8]>>(command: &[A]) -> Result<Command, Error> {
    shared::check(command)?;
    match command.split_first() {
        Some((name, arguments)) => Ok(Command::new(name).args(arguments)),
        None => Err(Error::new(ErrorKind::Configuration, "empty command: a command needs a name")),
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
        debug.field("servers", &self.servers).finish_non_exhaustive()
    }
}
