//! Optimistic transactions: `WATCH` on a connection of its own.

use std::fmt;
use std::sync::Arc;

use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::resp::{Command, Value};
use hotshelf_wire::slot;

use super::transaction::executed;
use super::{RedisClient, Reply};
use crate::connection::{CloseReason, Connection, Listener, Request, Routing};
use crate::link::{Dialled, Found, find};

/// Transactions that are executed only if watched keys are unchanged, on a connection of their
/// own.
///
/// ```no_run
/// # async fn example(redis: hotshelf_redis::RedisClient) -> Result<(), hotshelf_core::Error> {
/// let mut stock = redis.optimistic();
/// loop {
///     stock.watch(&["stock"]).await?;
///     let left = stock.command(&["GET", "stock"]).await?.double()?;
///     let set = [["SET", "stock", &(left - 1.0).to_string()]];
///     // `None`: somebody else has changed it, so try again.
///     if stock.execute(&set).await?.is_some() {
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// The first `watch` opens the connection, and costs the round trips of that; it closes when
/// this is dropped. A lost connection isn't replaced before the next `watch`: the server has
/// forgotten what was watched, and `execute` fails. In a Cluster all keys have to be in one slot.
pub struct Optimistic {
    client: RedisClient,
    connection: Option<Connection>,
    /// The slot of the watched keys, in a Cluster.
    slot: Option<u16>,
}

impl RedisClient {
    /// Returns a handle for transactions that are executed only if watched keys are unchanged.
    #[must_use]
    pub fn optimistic(&self) -> Optimistic {
        Optimistic { client: self.clone(), connection: None, slot: None }
    }
}

impl Optimistic {
    /// Watches keys, in addition to those watched since the last transaction.
    ///
    /// # Errors
    /// The server's own, of kind [`ErrorKind::Unavailable`], or of kind
    /// [`ErrorKind::Configuration`] for keys in several slots of a Cluster.
    ///
    /// # Cancel safety
    /// If dropped, it is unknown whether the keys are watched.
    pub async fn watch<K: AsRef<[u8]>>(&mut self, keys: &[K]) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        let request: Request = Command::new("WATCH").args(keys).into();
        if self.connection.as_ref().is_some_and(|it| it.closed().is_some()) {
            self.close();
        }
        let slot = self.slot_with(keys)?;
        if self.connection.is_none() {
            self.connection = Some(self.open(&request).await?);
        }
        self.send(&request).await?;
        self.slot = slot;
        Ok(())
    }

    /// Sends one command and returns its reply: usually a read of a watched key.
    ///
    /// # Errors
    /// Same as [`RedisClient::command`]; of kind [`ErrorKind::Configuration`] if no key was
    /// watched, and of kind [`ErrorKind::Unavailable`] once the connection was lost.
    ///
    /// # Cancel safety
    /// Same as [`RedisClient::command`].
    pub async fn command<A: AsRef<[u8]>>(&mut self, command: &[A]) -> Result<Reply, Error> {
        let request = self.client.packed(command)?.into();
        Ok(self.send(&request).await?.into())
    }

    /// Executes commands as a transaction, and watches no keys after that. Returns `None`, and
    /// executes nothing, if a watched key has changed.
    ///
    /// # Errors
    /// Same as [`RedisClient::transaction`], and those of [`Self::command`].
    ///
    /// # Cancel safety
    /// Same as [`RedisClient::transaction`].
    pub async fn execute<C, A>(&mut self, commands: &[C]) -> Result<Option<Vec<Reply>>, Error>
    where
        C: AsRef<[A]>,
        A: AsRef<[u8]>,
    {
        let requests = self.client.enclosed(commands)?;
        self.slot = None;
        let sent = self.connection()?.send_all(
            requests.iter(),
            Routing::Owner,
            self.client.store_timeout,
        )?;
        let replies = sent.await.into_iter().collect::<Result<Vec<_>, _>>()?;
        match executed(replies).map_err(of_cluster)? {
            Reply::Nil => Ok(None),
            replies => replies.array().map(Some),
        }
    }

    /// Watches no keys any more. Does nothing without a connection.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Timeout`] or [`ErrorKind::Unavailable`]. Nothing is watched in the
    /// second case.
    ///
    /// # Cancel safety
    /// If dropped, it is unknown whether the keys are still watched.
    pub async fn unwatch(&mut self) -> Result<(), Error> {
        self.slot = None;
        if self.connection.is_some() {
            self.send(&Command::new("UNWATCH").into()).await?;
        }
        Ok(())
    }

    /// Returns the slot of the watched keys and of these, in a Cluster.
    fn slot_with<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Option<u16>, Error> {
        if !self.client.is_cluster() {
            return Ok(None);
        }
        let mut common = self.slot;
        for slot in keys.iter().map(|key| slot(key.as_ref())) {
            if *common.get_or_insert(slot) != slot {
                return Err(Error::new(ErrorKind::Configuration, SEVERAL_SLOTS));
            }
        }
        Ok(common)
    }

    async fn open(&self, request: &Request) -> Result<Connection, Error> {
        let servers = self.client.servers.current()?;
        let timeout = self.client.store_timeout;
        let (dialer, resolver) = servers.listening_for(request, timeout).await?;
        let found = find(&dialer, &*resolver, || Arc::new(NoPushes)).await?;
        let Found { dialled: Dialled { connection, carrier, .. }, .. } = found;
        dialer.runtime.spawn(Box::pin(async move {
            carrier.await;
        }));
        self.client.servers.add_listening(&connection)?;
        Ok(connection)
    }

    fn connection(&self) -> Result<&Connection, Error> {
        self.connection.as_ref().ok_or_else(|| {
            let message = "no watched keys: call `watch` first";
            Error::new(ErrorKind::Configuration, message)
        })
    }

    async fn send(&self, request: &Request) -> Result<Value, Error> {
        let timeout = self.client.store_timeout;
        let reply = self.connection()?.send(request, Routing::Owner, timeout)?.await?;
        match reply {
            Value::Error(error) => Err(of_cluster(crate::errors::from_server(error))),
            reply => Ok(reply),
        }
    }

    fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.abort(CloseReason::Closed);
        }
        self.slot = None;
    }
}

/// The listener of a connection on which the server sends nothing but replies.
struct NoPushes;

impl Listener for NoPushes {
    fn on_push(&self, push: Vec<Value>) -> bool {
        drop(push);
        false
    }

    fn on_close(&self) {}
}

const SEVERAL_SLOTS: &str = "the keys of an optimistic transaction are in several slots of the \
    Cluster: use a common {tag}";

/// Names the cure of a key of another node.
fn of_cluster(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Moved => Error::new(
            ErrorKind::Moved,
            "another node of the Cluster owns a key of the transaction: use a common {tag}, and \
             try again if the slot was just moved",
        ),
        _ => error,
    }
}

impl Drop for Optimistic {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Optimistic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Optimistic");
        debug.field("is_open", &self.connection.is_some()).finish_non_exhaustive()
    }
}
