//! The raw client: any command, on the cache's connections.

mod commands;
mod evalsha;
mod optimistic;
mod pub_sub;
mod reply;
mod scan;
mod shared;
mod transaction;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hotshelf_core::tag::TAG_PREFIX;
use hotshelf_core::{Error, ErrorKind, Runtime};
use hotshelf_wire::Tracking;
use hotshelf_wire::resp::{Command, Value};

use crate::connection::{Listener, Request};
use crate::errors::is_refused;
use crate::options::RedisOptions;
use crate::topology::Topologies;
use crate::transport::Transport;

pub use commands::{Expiry, SetIf, SetOptions};
pub use evalsha::Script;
pub(crate) use evalsha::ScriptCall;
/// The maximum size of one step: the commands in one round trip, the keys in one command, and
/// the keys that a step of a scan visits. Some services accept fewer than 4,000 arguments.
pub(crate) use hotshelf_core::BATCH;
pub use optimistic::Optimistic;
pub use pub_sub::PubSub;
pub use reply::Reply;
pub use scan::Scan;

/// Direct access to the servers, without the cache: any command, any pipeline.
///
/// It shares the cache's connections. Commands that change a connection's state or block it
/// (`SELECT`, `CLIENT TRACKING`, `BLPOP`) are refused; instead of `SUBSCRIBE` use
/// [`RedisClient::pub_sub`], instead of `MULTI` use [`RedisClient::transaction`], instead of
/// `WATCH` [`RedisClient::optimistic`], and for commands that block [`RedisClient::blocking`]. If it
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
    /// Whether the connection is its own, so that commands may block it.
    may_block: bool,
    /// Whether the servers refuse `UNLINK`, so that keys are removed by `DEL`.
    without_unlink: Arc<AtomicBool>,
    /// Whether the server is a node of a Cluster although the URL names one server.
    is_node: Arc<AtomicBool>,
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
            may_block: false,
            without_unlink: Arc::default(),
            is_node: Arc::default(),
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

    /// Returns a client with a connection of its own for commands that block, such as `BLPOP`
    /// and `XREAD` with `BLOCK`. The connection is opened on first use, and closes with the
    /// client or the store.
    ///
    /// The client's calls wait for one another, since the server executes one at a time: use a
    /// client for each task that waits. `timeout` is that of its calls; choose one that is
    /// longer than the time for which the commands block. A call that is dropped goes on
    /// blocking the connection.
    #[must_use]
    pub fn blocking(&self, timeout: Duration) -> Self {
        let servers = self.servers.separate();
        Self { servers, may_block: true, ..self.clone().with_timeout(timeout) }
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
        self.send(self.packed(command)?, self.store_timeout).await
    }

    /// Sends several commands in one round trip for each 1,000 or 8 MiB, and returns their
    /// replies in order.
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
        let packed = |command: &C| self.packed(command.as_ref()).map(Request::from);
        let requests: Vec<_> = commands.iter().map(packed).collect::<Result<_, _>>()?;
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let replies = self.all(&requests, self.store_timeout).await;
        match replies.iter().all(Result::is_err) {
            true => replies.into_iter().map(|reply| reply.map(Reply::from)).collect(),
            false => Ok(replies.into_iter().map(Reply::from_result).collect()),
        }
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
        let request = self.packed(command)?.into();
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
        self.reply_to(&request.into(), timeout).await.ok()
    }

    /// Sends a request, and returns its reply or the error as one.
    pub(crate) async fn reply_to(&self, request: &Request, timeout: Duration) -> Reply {
        let reply = match self.servers.current() {
            Ok(servers) => Reply::from_result(servers.send(request, timeout).await),
            Err(error) => Reply::Error(error),
        };
        self.note_moved(&reply);
        reply
    }

    /// Notes that a server which isn't used as a Cluster redirects a command to another node.
    fn note_moved(&self, reply: &Reply) {
        if let Reply::Error(error) = reply
            && error.kind() == ErrorKind::Moved
            && !self.is_cluster()
            && !self.is_node.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("{NODE}");
        }
    }

    /// Returns what is wrong with the URL, if the server is a node of a Cluster.
    pub(crate) fn misnamed(&self) -> Option<&'static str> {
        self.is_node.load(Ordering::Relaxed).then_some(NODE)
    }

    /// Sends any number of commands together, in [`batches`], and returns their replies in order.
    pub(crate) async fn send_all(&self, requests: &[Request], timeout: Duration) -> Vec<Reply> {
        if requests.is_empty() {
            return Vec::new();
        }
        let replies = self.all(requests, timeout).await;
        let replies: Vec<_> = replies.into_iter().map(Reply::from_result).collect();
        replies.iter().for_each(|reply| self.note_moved(reply));
        replies
    }

    async fn all(&self, requests: &[Request], timeout: Duration) -> Vec<Result<Value, Error>> {
        let servers = match self.servers.current() {
            Ok(servers) => servers,
            Err(error) => return vec![Err(error); requests.len()],
        };
        let mut replies = Vec::with_capacity(requests.len());
        for batch in batches(requests) {
            replies.extend(servers.send_all(batch, timeout).await);
        }
        replies
    }

    /// Sends commands that remove keys: by `UNLINK`, or by `DEL` to servers that lack or deny
    /// it.
    pub(crate) async fn send_removals(
        &self,
        commands: impl Fn(&Command) -> Vec<Request>,
    ) -> Vec<Reply> {
        let send =
            async |name| self.send_all(&commands(&Command::new(name)), self.store_timeout).await;
        if !self.without_unlink.load(Ordering::Relaxed) {
            let replies = send("UNLINK").await;
            let refused = |reply: &Reply| matches!(reply, Reply::Error(error) if is_refused(error));
            if !replies.iter().any(refused) {
                return replies;
            }
        }
        let replies = send("DEL").await;
        let works = replies.iter().any(|reply| !matches!(reply, Reply::Error(_)));
        if works && !self.without_unlink.swap(true, Ordering::Relaxed) {
            tracing::warn!("the server refuses UNLINK; removing keys by DEL, which may block it");
        }
        replies
    }

    /// Returns `true` if the servers are known to refuse `UNLINK`.
    pub(crate) fn lacks_unlink(&self) -> bool {
        self.without_unlink.load(Ordering::Relaxed)
    }

    /// Returns `true` if servers are asked to report changes of a key. Those that broadcast
    /// changes of entries broadcast those of tags, too.
    pub(crate) fn asks_for_reports(&self, key: &[u8]) -> bool {
        let tracking = self.servers.tracking();
        let is_tag = key.starts_with(TAG_PREFIX.as_bytes());
        tracking.covers(key) || is_tag && self.asks_for_entries()
    }

    /// Returns `true` if servers are asked to report changes of entries, and not of leases alone.
    pub(crate) fn asks_for_entries(&self) -> bool {
        match self.servers.tracking() {
            Tracking::Off => false,
            Tracking::OptIn => true,
            Tracking::Broadcast(prefixes) => !prefixes.is_empty(),
        }
    }

    /// Returns `true` if the server of a key reports its changes.
    pub(crate) fn is_tracking(&self, key: &[u8]) -> bool {
        self.servers.current().is_ok_and(|servers| servers.is_tracking(key))
    }

    /// Returns an estimate of the clock of a key's server, in milliseconds.
    pub(crate) fn clock(&self, key: &[u8]) -> Option<u64> {
        self.servers.current().ok()?.clock(key)
    }

    pub(crate) fn close(&self) {
        self.servers.close();
    }

    fn packed<A: AsRef<[u8]>>(&self, command: &[A]) -> Result<Command, Error> {
        shared::check(command, self.may_block)?;
        match command.split_first() {
            Some((name, arguments)) => Ok(Command::new(name).args(arguments)),
            None => {
                let message = "empty command: a command needs a name";
                Err(Error::new(ErrorKind::Configuration, message))
            }
        }
    }
}

const NODE: &str = "the server is a node of a Cluster, and has only a part of the keys: use \
    redis+cluster:// in the URL";

/// The maximum size of the commands in one round trip, unless one alone is larger.
const BATCH_BYTES: usize = 8 << 20;

/// Splits commands into those of one round trip each: a [`BATCH`] at most, and 8 MiB.
fn batches(requests: &[Request]) -> impl Iterator<Item = &[Request]> {
    let mut rest = requests;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest.iter().take(BATCH).take_while(|request| {
            bytes += request.command.size();
            bytes <= BATCH_BYTES
        });
        let count = fitting.count().max(1);
        let (batch, others) = rest.split_at_checked(count)?;
        rest = others;
        Some(batch)
    })
}

impl fmt::Debug for RedisClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("RedisClient");
        debug.field("servers", &self.servers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_in_commands_and_bytes() {
        let lengths = |sizes: &[usize]| -> Vec<usize> {
            let set = |size: &usize| Command::new("SET").arg("k").arg(vec![0; *size]).into();
            let requests: Vec<Request> = sizes.iter().map(set).collect();
            batches(&requests).map(<[Request]>::len).collect()
        };
        assert_eq!(lengths(&[1; 2_500]), [1_000, 1_000, 500]);
        assert_eq!(lengths(&[5 << 20, 5 << 20, 20 << 20, 1, 1]), [1, 1, 1, 2]);
        assert!(lengths(&[]).is_empty());
    }
}
