//! What is asked of a server.

use std::sync::LazyLock;

use hotshelf_wire::resp::Command;

/// A command, and whether the server is to tell when the keys that it reads change.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    /// Only where the connection has agreed on it.
    pub(crate) tracked: bool,
}

impl From<Command> for Request {
    fn from(command: Command) -> Self {
        Self { command, tracked: false }
    }
}

/// What has to stand right before a command, in the same breath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Nothing, or what the request itself calls for.
    Plain,
    /// `ASKING`: the slot is on its way to this node. Nothing that is read so is tracked.
    Asking,
}

pub(super) static ASKING: LazyLock<Command> = LazyLock::new(|| Command::new("ASKING"));

/// Covers the next command and no other.
pub(super) static CACHING: LazyLock<Command> =
    LazyLock::new(|| Command::new("CLIENT").arg("CACHING").arg("YES"));
