//! Forked processes.
//!
//! A child inherits the state of its parent's event loops, but shares their sockets and must
//! not continue their operations. It neither uses nor drops that state.

use std::sync::atomic::{AtomicU64, Ordering};

static FORKS: AtomicU64 = AtomicU64::new(0);

/// A process, identified by its number of forks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u64);

impl Process {
    /// Returns the current process.
    pub(crate) fn current() -> Self {
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Returns `true` if the current process was forked from this one.
    pub(crate) fn is_parent(self) -> bool {
        self != Self::current()
    }
}

/// Records a fork. It is called in the child.
pub(crate) fn mark_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
