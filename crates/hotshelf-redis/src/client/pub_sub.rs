//! Listening to what others publish.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::StreamExt;
use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::resp::{Command, Value};

use crate::connection::{Connection, Ended, Listener};
use crate::errors;
use crate::link::{Dialer, Place};
use crate::topology::Topology;

/// How many messages wait to be taken. Who doesn't keep up loses the connection, and is told.
const BACKLOG: usize = 1 << 16;

/// Listens to channels, on a connection of its own.
///
/// ```no_run
/// # async fn example(redis: hotshelf_redis::RedisClient) -> Result<(), hotshelf_core::Error> {
/// let mut orders = redis.pub_sub();
/// orders.subscribe(&["orders"]).await?;
/// loop {
///     match orders.next().await {
///         Ok(message) => println!("{}", String::from_utf8_lossy(&message.payload)),
///         // The connection is made anew by the next call; what was published meanwhile is lost.
///         Err(error) => eprintln!("messages may be missing: {error}"),
///     }
/// }
/// # }
/// ```
pub struct PubSub {
    topology: Arc<Topology>,
    /// The channels and patterns that are listened to.
    channels: Vec<Bytes>,
    patterns: Vec<Bytes>,
    open: Option<Open>,
    /// What has come while the server's word on a subscription was waited for.
    early: VecDeque<Message>,
}

/// A connection that listens. Dropping it closes it.
struct Open {
    connection: Connection,
    values: mpsc::Receiver<Value>,
    dialer: Dialer,
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The channel.
    pub channel: Bytes,
    /// The pattern by which the channel was listened to, if it was by one.
    pub pattern: Option<Bytes>,
    /// What was published.
    pub payload: Bytes,
}

impl PubSub {
    pub(super) fn new(topology: Arc<Topology>) -> Self {
        let (channels, patterns, early) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { topology, channels, patterns, open: None, early }
    }

    /// Listens to these channels, too.
    ///
    /// Costs one round trip, and those of connecting if it is the first.
    ///
    /// # Errors
    /// The server's own, or of kind [`ErrorKind::Unavailable`]. The channels are listened to
    /// all the same once [`PubSub::next`] has connected.
    ///
    /// # Cancel safety
    /// Dropping it leaves open when the channels are listened to.
    pub async fn subscribe<C: AsRef<[u8]>>(&mut self, channels: &[C]) -> Result<(), Error> {
        self.channels.extend(channels.iter().map(|name| Bytes::copy_from_slice(name.as_ref())));
        self.say("SUBSCRIBE", channels).await
    }

    /// Listens to all channels that match these patterns, too.
    ///
    /// # Errors
    /// As [`PubSub::subscribe`].
    ///
    /// # Cancel safety
    /// As [`PubSub::subscribe`].
    pub async fn subscribe_patterns<C: AsRef<[u8]>>(
        &mut self,
        patterns: &[C],
    ) -> Result<(), Error> {
        self.patterns.extend(patterns.iter().map(|name| Bytes::copy_from_slice(name.as_ref())));
        self.say("PSUBSCRIBE", patterns).await
    }

    /// Listens to these channels and patterns no longer. Messages that are on their way
    /// still come.
    pub fn unsubscribe<C: AsRef<[u8]>>(&mut self, names: &[C]) {
        if names.is_empty() {
            // To the server, no name means all of them.
            return;
        }
        let is_named = |known: &Bytes| names.iter().any(|name| name.as_ref() == &known[..]);
        self.channels.retain(|name| !is_named(name));
        self.patterns.retain(|name| !is_named(name));
        if let Some(open) = &self.open {
            for verb in ["UNSUBSCRIBE", "PUNSUBSCRIBE"] {
                let command = Command::new(verb).args(names);
                // A connection that has ended listens to nothing.
                let _ = open.connection.tell(&command);
            }
        }
    }

    /// Waits for the next message. Connects, and listens to all that was subscribed to, if
    /// there is no connection.
    ///
    /// # Errors
    /// If the connection was lost, or couldn't be made: messages may be missing. The next
    /// call connects anew, at once: pause before it if that goes on.
    ///
    /// # Cancel safety
    /// No message is lost by dropping it.
    pub async fn next(&mut self) -> Result<Message, Error> {
        if self.channels.is_empty() && self.patterns.is_empty() {
            let message = "nothing is listened to: call `subscribe` first";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        loop {
            if let Some(message) = self.early.pop_front() {
                return Ok(message);
            }
            if self.open.is_none() {
                self.open().await?;
            }
            if let Some(message) = self.heard().await? {
                return Ok(message);
            }
        }
    }

    /// Subscribes, on the open connection or on one that subscribes to all that it should.
    async fn say<C: AsRef<[u8]>>(&mut self, verb: &str, names: &[C]) -> Result<(), Error> {
        match &self.open {
            Some(open) => {
                open.connection.tell(&Command::new(verb).args(names))?;
                self.confirmed(names.len()).await
            }
            None => self.open().await,
        }
    }

    async fn open(&mut self) -> Result<(), Error> {
        let (dialer, place) = self.topology.listening().await?;
        let open = Open::dial(dialer, &*place).await?;
        for (verb, names) in [("SUBSCRIBE", &self.channels), ("PSUBSCRIBE", &self.patterns)] {
            if !names.is_empty() {
                open.connection.tell(&Command::new(verb).args(names))?;
            }
        }
        self.open = Some(open);
        self.confirmed(self.channels.len() + self.patterns.len()).await
    }

    /// Waits for the server's word that it has subscribed us, or why not.
    async fn confirmed(&mut self, count: usize) -> Result<(), Error> {
        let Some(dialer) = self.open.as_ref().map(|open| open.dialer.clone()) else {
            return Ok(());
        };
        let confirmed = dialer.in_time(async {
            for _ in 0..count {
                while let Some(message) = self.heard().await? {
                    self.early.push_back(message);
                }
            }
            Ok(())
        });
        let confirmed = confirmed.await;
        if confirmed.is_err() {
            self.open = None;
        }
        confirmed
    }

    /// Waits for what the server says: a message, or its word on a subscription.
    async fn heard(&mut self) -> Result<Option<Message>, Error> {
        let Some(open) = &mut self.open else { return Err(Ended::Cut.into()) };
        // Nobody waits for the word on what is listened to no longer.
        let heard = loop {
            match open.values.next().await {
                Some(value) if is_farewell(&value) => {}
                heard => break heard,
            }
        };
        match heard {
            Some(value) => read(&value),
            None => {
                let too_fast = || errors::unavailable("messages came faster than they were taken");
                let error = open.connection.ended().map_or_else(too_fast, Error::from);
                self.open = None;
                Err(error)
            }
        }
    }
}

impl Open {
    async fn dial(dialer: Dialer, place: &dyn Place) -> Result<Self, Error> {
        let (inbox, values) = inbox();
        let address = place.find().await?;
        let dialled = dialer.dial(&address, inbox).await?;
        let carrier = dialled.carrier;
        dialer.runtime.spawn(Box::pin(async move {
            carrier.await;
        }));
        Ok(Self { connection: dialled.connection, values, dialer })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connection.give_up(Ended::Closed);
    }
}

/// Takes what a server says to one who listens.
struct Inbox(Mutex<Option<mpsc::Sender<Value>>>);

/// Makes a listener, and what it hears.
pub(crate) fn inbox() -> (Arc<dyn Listener>, mpsc::Receiver<Value>) {
    let (sender, values) = mpsc::channel(BACKLOG);
    (Arc::new(Inbox(Mutex::new(Some(sender)))), values)
}

impl Inbox {
    fn take(&self, value: Value) {
        let mut sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &mut *sender
            && open.try_send(value).is_err()
        {
            // Either nobody listens, or not fast enough.
            *sender = None;
        }
    }
}

impl Listener for Inbox {
    fn heard(&self, push: Vec<Value>) {
        self.take(Value::Array(push));
    }

    /// RESP2 brings messages as replies, and both bring refusals so.
    fn unasked(&self, value: Value) -> bool {
        self.take(value);
        true
    }

    fn ended(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Says whether it is the server's word on what is listened to no longer.
fn is_farewell(value: &Value) -> bool {
    let Value::Array(parts) = value else { return false };
    matches!(parts.first().and_then(Value::text), Some("unsubscribe" | "punsubscribe"))
}

/// Reads a message; `None` for the server's word on a subscription.
///
/// # Errors
/// The server's own: it refuses to let us listen.
pub(crate) fn read(value: &Value) -> Result<Option<Message>, Error> {
    let parts = match value {
        Value::Array(parts) => parts,
        Value::Error(error) => return Err(errors::from_server(error.clone())),
        _ => return Ok(None),
    };
    let bytes = |value: &Value| match value {
        Value::Bulk(bytes) | Value::Simple(bytes) => bytes.clone(),
        _ => Bytes::new(),
    };
    Ok(match (parts.first().and_then(Value::text), &parts[..]) {
        (Some("message"), [_, channel, payload]) => {
            Some(Message { channel: bytes(channel), pattern: None, payload: bytes(payload) })
        }
        (Some("pmessage"), [_, pattern, channel, payload]) => Some(Message {
            channel: bytes(channel),
            pattern: Some(bytes(pattern)),
            payload: bytes(payload),
        }),
        _ => None,
    })
}

impl fmt::Debug for PubSub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("PubSub");
        debug.field("channels", &self.channels).field("patterns", &self.patterns);
        debug.field("open", &self.open.is_some()).finish_non_exhaustive()
    }
}
