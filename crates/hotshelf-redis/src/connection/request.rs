//! Commands as the connection sends them.

use std::sync::LazyLock;

use hotshelf_wire::resp::Command;

/// A command, and whether the server should report changes of the keys that it reads.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    /// Ignored on connections without opt-in tracking.
    pub(crate) tracked: bool,
}

impl From<Command> for Request {
    fn from(command: Command) -> Self {
        Self { command, tracked: false }
    }
}

/// Why a command goes to this node, which decides on the prefix that it is sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routing {
    /// The node owns the slot: no prefix but that of a tracked request.
    Owner,
    /// The slot is migrating to the node: `ASKING`. What is read so is not tracked.
    Asking,
}

pub(super) static ASKING: LazyLock<Command> = LazyLock::new(|| Command::new("ASKING"));

/// Applies to the next command only.
pub(super) static CACHING: LazyLock<Command> =
    LazyLock::new(|| Command::new("CLIENT").arg("CACHING").arg("YES"));
