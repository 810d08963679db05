//! A queue of the values that a server sends to a listening connection.

use std::sync::Arc;

use bytes::Bytes;
use futures_channel::mpsc;
use hotshelf_core::Error;
use hotshelf_core::sync::Mutex;
use hotshelf_wire::resp::Value;

use super::listener::Listener;
use crate::errors;

/// The maximum number of queued values. A consumer that doesn't keep up loses the connection
/// and receives an error.
const BACKLOG: usize = 1 << 16;

/// A listener that queues everything for one consumer.
pub(crate) struct Inbox {
    /// `None` once the connection was closed or the queue was full.
    sender: Mutex<Option<mpsc::Sender<Value>>>,
}

/// A published message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The channel.
    pub channel: Bytes,
    /// The pattern, for a subscription to a pattern.
    pub pattern: Option<Bytes>,
    /// The content.
    pub payload: Bytes,
}

impl Inbox {
    /// Creates a listener, and the queue that it fills.
    pub(crate) fn new() -> (Arc<Self>, mpsc::Receiver<Value>) {
        let (sender, values) = mpsc::channel(BACKLOG);
        (Arc::new(Self { sender: Mutex::new(Some(sender)) }), values)
    }

    fn put(&self, value: Value) {
        if is_pong(&value) {
            return;
        }
        let mut sender = self.sender.lock();
        if let Some(open) = &mut *sender
            && open.try_send(value).is_err()
        {
            // The consumer was dropped, or is too slow.
            *sender = None;
        }
    }
}

impl Listener for Inbox {
    fn on_push(&self, push: Vec<Value>) -> bool {
        self.put(Value::Array(push));
        true
    }

    /// Queues the value: messages in RESP2, and subscription errors in both versions.
    fn on_unsolicited(&self, value: Value) -> bool {
        self.put(value);
        true
    }

    fn on_close(&self) {
        *self.sender.lock() = None;
    }
}

/// Returns `true` for the sign of life that a subscriber has asked for.
fn is_pong(value: &Value) -> bool {
    match value {
        Value::Simple(text) => &text[..] == b"PONG",
        // In RESP2.
        Value::Array(parts) => parts.first().and_then(Value::text) == Some("pong"),
        _ => false,
    }
}

impl Message {
    /// Reads a message from a queued value; `None` for the confirmation of a subscription.
    ///
    /// # Errors
    /// The server's own, if it refuses a subscription.
    pub(crate) fn read(value: &Value) -> Result<Option<Self>, Error> {
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
                Some(Self { channel: bytes(channel), pattern: None, payload: bytes(payload) })
            }
            (Some("pmessage"), [_, pattern, channel, payload]) => Some(Self {
                channel: bytes(channel),
                pattern: Some(bytes(pattern)),
                payload: bytes(payload),
            }),
            _ => None,
        })
    }

    /// Returns `true` if a queued value confirms that a subscription was cancelled.
    pub(crate) fn is_unsubscribe_confirmation(value: &Value) -> bool {
        let Value::Array(parts) = value else { return false };
        matches!(parts.first().and_then(Value::text), Some("unsubscribe" | "punsubscribe"))
    }
}
