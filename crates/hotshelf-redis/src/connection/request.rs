//! Requests: commands, and how they are sent.

use std::sync::{Arc, LazyLock};

use hotshelf_core::near::Sourced;
use hotshelf_core::sync::Mutex;
use hotshelf_wire::resp::{Command, Value};

/// A command, and whether the server should report changes of the keys that it reads.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    /// Has no effect on connections without opt-in tracking.
    pub(crate) tracked: bool,
    /// The size of the reply in bytes, if it is expected to be large.
    pub(crate) expected: usize,
    /// Where to note the connection over which a read for the near tier was sent last, if its
    /// server reports changes.
    pub(crate) source: Option<SourceCell>,
    /// Reads the server's clock from the reply, in milliseconds, where it tells it.
    pub(crate) clock: Option<fn(&Value) -> Option<u64>>,
}

/// The connection over which a request was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceCell(Arc<Mutex<Option<Sourced>>>);

impl SourceCell {
    pub(super) fn set(&self, source: Option<Sourced>) {
        *self.0.lock() = source;
    }

    pub(crate) fn take(&self) -> Option<Sourced> {
        self.0.lock().take()
    }
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
        Self { command, tracked: false, expected: 0, source: None, clock: None }
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
