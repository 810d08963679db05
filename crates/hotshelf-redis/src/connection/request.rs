//! Requests: commands, and how they are sent.

use std::sync::LazyLock;

use hotshelf_wire::resp::Command;

/// A command, and whether the server should report changes of the keys that it reads.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    /// Has no effect on connections without opt-in tracking.
    pub(crate) tracked: bool,
    /// The size of the reply in bytes, if it is expected to be large.
    pub(crate) expected: usize,
}

/// The size from which a value is large: it occupies a network of 10 Gbit/s for 0.1 ms.
pub(crate) const LARGE: usize = 128 << 10;

impl Request {
    /// Returns `true` if the command or its reply occupies the connection for long.
    pub(crate) fn is_large(&self) -> bool {
        self.size() >= LARGE
    }

    /// Returns the size of the command, or of its reply.
    pub(crate) fn size(&self) -> usize {
        self.expected.max(self.command.size())
    }
}

impl From<Command> for Request {
    fn from(command: Command) -> Self {
        Self { command, tracked: false, expected: 0 }
    }
}

/// How a command is sent to a node, which determines its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routing {
    /// The node owns the slot: no prefix but that of a tracked request.
    Owner,
    /// The slot is migrating to the node: `ASKING` comes first. Such reads are not tracked.
    Asking,
}

pub(super) static ASKING: LazyLock<Command> = LazyLock::new(|| Command::new("ASKING"));

/// Enables tracking for the next command only.
pub(super) static CACHING: LazyLock<Command> =
    LazyLock::new(|| Command::new("CLIENT").arg("CACHING").arg("YES"));
