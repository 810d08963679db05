//! The receiver of pushes and unsolicited values.

use std::sync::Arc;

use hotshelf_core::near::NearTier;
use hotshelf_wire::resp::Value;

/// Receives pushes and unsolicited values, in their position among the replies.
pub(crate) trait Listener: Send + Sync {
    /// Receives a push, and returns `true` if that is expected. The confirmation of a
    /// subscription takes the place of a reply: on other connections it shows that replies
    /// answer other commands, and the connection is closed.
    fn on_push(&self, push: Vec<Value>) -> bool;

    /// Receives a value although no command is in flight, and returns `true` if that is
    /// expected. Otherwise, which is the default, the connection is closed.
    fn on_unsolicited(&self, value: Value) -> bool {
        drop(value);
        false
    }

    /// Returns the near tier to which changes are reported, if there is one.
    fn near(&self) -> Option<&Arc<NearTier>> {
        None
    }

    /// Handles the end of the connection, if it was established: later values are lost.
    fn on_close(&self);
}
