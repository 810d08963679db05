//! What a server sends without being asked.

use hotshelf_wire::resp::Value;

/// Receives what a server sends without being asked, in its position among the replies.
pub(crate) trait Listener: Send + Sync {
    /// Receives a push.
    fn on_push(&self, push: Vec<Value>);

    /// Receives a value that is not the reply to any command, and returns `true` if it is
    /// expected. By default it is not: the connection is closed.
    fn on_unsolicited(&self, value: Value) -> bool {
        drop(value);
        false
    }

    /// Records that the connection was closed: later messages are lost.
    fn on_close(&self);
}
