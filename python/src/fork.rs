//! Processes that were forked off others.
//!
//! What a child finds of its parent's loops is not the child's: it shares their sockets, and
//! it must not carry out what they had begun. So it is neither used nor dropped.

use std::sync::atomic::{AtomicU64, Ordering};

static FORKS: AtomicU64 = AtomicU64::new(0);

/// A process among its ancestors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u64);

impl Process {
    pub(crate) fn this() -> Self {
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Says whether what was made in this process is a parent's now.
    pub(crate) fn is_gone(self) -> bool {
        self != Self::this()
    }
}

/// Takes note, in the child, that it was forked off.
pub(crate) fn note() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
