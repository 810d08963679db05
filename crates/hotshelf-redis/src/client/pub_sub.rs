//! Subscriptions to channels.

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::resp::{Command, Value};

use crate::connection::{CloseReason, Connection, Inbox, Listener, Message};
use crate::errors;
use crate::link::{Dialer, Dialled, Found, Resolver, find, successor, until_silent};
use crate::topology::Topologies;

/// Subscriptions to channels, on a connection of their own.
///
/// ```no_run
/// # async fn example(redis: hotshelf_redis::RedisClient) -> Result<(), hotshelf_core::Error> {
/// let mut orders = redis.pub_sub();
/// orders.subscribe(&["orders"]).await?;
/// loop {
///     match orders.next().await {
///         Ok(message) => println!("{}", String::from_utf8_lossy(&message.payload)),
///         // The next call reconnects; messages published in the meantime are lost.
///         Err(error) => eprintln!("messages may be missing: {error}"),
///     }
/// }
/// # }
/// ```
pub struct PubSub {
    servers: Arc<Topologies>,
    /// The channels and patterns of all subscriptions.
    channels: Vec<Bytes>,
    patterns: Vec<Bytes>,
    open: Option<Open>,
    /// Messages that arrived while awaiting the confirmation of a subscription.
    early: VecDeque<Message>,
}

/// A listening connection. Dropping it closes it.
struct Open {
    connection: Connection,
    values: mpsc::Receiver<Value>,
    dialer: Dialer,
}

impl PubSub {
    pub(super) fn new(servers: Arc<Topologies>) -> Self {
        let (channels, patterns, early) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { servers, channels, patterns, open: None, early }
    }

    /// Subscribes to channels, in addition to those subscribed before.
    ///
    /// Costs one round trip, and those of connecting if it is the first subscription.
    ///
    /// # Errors
    /// The server's own, or of kind [`ErrorKind::Unavailable`]. The subscription is kept and
    /// takes effect once [`PubSub::next`] has reconnected.
    ///
    /// # Cancel safety
    /// If dropped, it is unknown when the subscription takes effect.
    pub async fn subscribe<C: AsRef<[u8]>>(&mut self, channels: &[C]) -> Result<(), Error> {
        if channels.is_empty() {
            // The server rejects a subscription without names.
            return Ok(());
        }
        self.channels.extend(channels.iter().map(|name| Bytes::copy_from_slice(name.as_ref())));
        self.send_subscription("SUBSCRIBE", channels).await
    }

    /// Subscribes to all channels that match patterns, in addition to those subscribed before.
    ///
    /// # Errors
    /// Same as [`PubSub::subscribe`].
    ///
    /// # Cancel safety
    /// Same as [`PubSub::subscribe`].
    pub async fn subscribe_patterns<C: AsRef<[u8]>>(
        &mut self,
        patterns: &[C],
    ) -> Result<(), Error> {
        if patterns.is_empty() {
            return Ok(());
        }
        self.patterns.extend(patterns.iter().map(|name| Bytes::copy_from_slice(name.as_ref())));
        self.send_subscription("PSUBSCRIBE", patterns).await
    }

    /// Unsubscribes from channels and patterns. Messages in flight still arrive.
    pub fn unsubscribe<C: AsRef<[u8]>>(&mut self, names: &[C]) {
        if names.is_empty() {
            // To the server, no names mean all of them.
            return;
        }
        self.unsubscribe_channels(names);
        self.unsubscribe_patterns(names);
    }

    /// Unsubscribes from channels, and keeps patterns of the same names.
    pub fn unsubscribe_channels<C: AsRef<[u8]>>(&mut self, channels: &[C]) {
        remove(&mut self.channels, channels);
        self.send_unsubscription("UNSUBSCRIBE", channels);
    }

    /// Unsubscribes from patterns, and keeps channels of the same names.
    pub fn unsubscribe_patterns<C: AsRef<[u8]>>(&mut self, patterns: &[C]) {
        remove(&mut self.patterns, patterns);
        self.send_unsubscription("PUNSUBSCRIBE", patterns);
    }

    fn send_unsubscription<C: AsRef<[u8]>>(&self, verb: &str, names: &[C]) {
        if let (Some(open), false) = (&self.open, names.is_empty()) {
            // A closed connection has no subscriptions.
            let _ = open.connection.send_without_reply(&Command::new(verb).args(names));
        }
    }

    /// Connects and renews all subscriptions, unless the connection is open or its end wasn't
    /// reported by [`PubSub::next`] yet: for callers that give `next` little time.
    ///
    /// # Errors
    /// Same as [`PubSub::subscribe`].
    ///
    /// # Cancel safety
    /// Same as [`PubSub::subscribe`].
    pub async fn connect(&mut self) -> Result<(), Error> {
        match self.open.is_none() && !(self.channels.is_empty() && self.patterns.is_empty()) {
            true => self.open().await,
            false => Ok(()),
        }
    }

    /// Waits for the next message. If there is no connection, connects and renews all
    /// subscriptions.
    ///
    /// # Errors
    /// If the connection was lost or can't be opened: messages may be missing. The next call
    /// reconnects at once, so pause before it if errors continue.
    ///
    /// # Cancel safety
    /// If dropped, no message is lost.
    pub async fn next(&mut self) -> Result<Message, Error> {
        if self.channels.is_empty() && self.patterns.is_empty() {
            let message = "no subscriptions: call `subscribe` first";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        loop {
            if let Some(message) = self.early.pop_front() {
                return Ok(message);
            }
            if self.open.is_none() {
                self.open().await?;
            }
            if let Some(message) = self.receive().await? {
                return Ok(message);
            }
        }
    }

    /// Subscribes on the open connection, or opens one with all subscriptions.
    async fn send_subscription<C: AsRef<[u8]>>(
        &mut self,
        verb: &str,
        names: &[C],
    ) -> Result<(), Error> {
        match &self.open {
            Some(open) => {
                open.connection.send_without_reply(&Command::new(verb).args(names))?;
                self.await_confirmations(names.len()).await
            }
            None => self.open().await,
        }
    }

    async fn open(&mut self) -> Result<(), Error> {
        let (dialer, resolver) = self.servers.current()?.listening().await?;
        let open = Open::dial(dialer, resolver).await?;
        self.servers.add_listening(&open.connection)?;
        for (verb, names) in [("SUBSCRIBE", &self.channels), ("PSUBSCRIBE", &self.patterns)] {
            if !names.is_empty() {
                open.connection.send_without_reply(&Command::new(verb).args(names))?;
            }
        }
        self.open = Some(open);
        self.await_confirmations(self.channels.len() + self.patterns.len()).await
    }

    /// Waits until the server has confirmed or refused subscriptions.
    async fn await_confirmations(&mut self, count: usize) -> Result<(), Error> {
        let Some(dialer) = self.open.as_ref().map(|open| open.dialer.clone()) else {
            return Ok(());
        };
        let confirmed = dialer.in_time(async {
            for _ in 0..count {
                while let Some(message) = self.receive().await? {
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

    /// Waits for a message; `None` for the confirmation of a subscription.
    async fn receive(&mut self) -> Result<Option<Message>, Error> {
        let Some(open) = &mut self.open else { return Err(CloseReason::Disconnected.into()) };
        let value = loop {
            match open.values.next().await {
                // No call awaits this confirmation.
                Some(value) if Message::is_unsubscribe_confirmation(&value) => {}
                value => break value,
            }
        };
        match value {
            Some(value) => Message::read(&value),
            None => {
                let too_slow = || {
                    errors::unavailable("lost messages: they arrive faster than they are consumed")
                };
                let error = open.connection.closed().map_or_else(too_slow, Error::from);
                self.open = None;
                Err(error)
            }
        }
    }
}

/// Removes names from those of subscriptions.
fn remove<C: AsRef<[u8]>>(known: &mut Vec<Bytes>, names: &[C]) {
    known.retain(|name| !names.iter().any(|other| other.as_ref() == &name[..]));
}

impl Open {
    async fn dial(dialer: Dialer, resolver: Arc<dyn Resolver>) -> Result<Self, Error> {
        let (_, mut values) = Inbox::new();
        let found = find(&dialer, &*resolver, || {
            let inbox: Arc<dyn Listener>;
            (inbox, values) = Inbox::new();
            inbox
        });
        let Found { address, dialled } = found.await?;
        let Dialled { connection, carrier, .. } = dialled;
        let (ending, watching) = (connection.clone(), dialer.clone());
        dialer.runtime.spawn(Box::pin(async move {
            let silent = pin!(until_silent(&watching, &ending));
            let replaced = pin!(successor(&watching, &*resolver, &address, || Inbox::new().0));
            let reason = match select(carrier, select(silent, replaced)).await {
                Either::Left(_) => return,
                Either::Right((Either::Left(_), _)) => CloseReason::Unresponsive,
                Either::Right((Either::Right(_), _)) => CloseReason::Replaced,
            };
            ending.abort(reason);
        }));
        Ok(Self { connection, values, dialer })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connection.abort(CloseReason::Closed);
    }
}

impl fmt::Debug for PubSub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("PubSub");
        debug.field("channels", &self.channels).field("patterns", &self.patterns);
        debug.field("open", &self.open.is_some()).finish_non_exhaustive()
    }
}
