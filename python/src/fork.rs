//! Forked processes.
//!
//! A child inherits the state of its parent's event loops, but shares their sockets and must
//! not continue their operations. It neither uses nor drops that state.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::park_timeout;
use std::time::Duration;

use pyo3::prelude::*;

static FORKS: AtomicU64 = AtomicU64::new(0);

/// The number of threads that run the engine without the GIL.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static FORKING: AtomicBool = AtomicBool::new(false);

/// How long a fork and threads that run the engine wait for each other, before they look again.
const INTERVAL: Duration = Duration::from_micros(50);

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

/// Records a fork. It is called in the child, which has no other threads.
pub(crate) fn mark_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    RUNNING.store(0, Ordering::SeqCst);
    FORKING.store(false, Ordering::SeqCst);
}

/// Holds off forks while this thread runs the engine without the GIL: a child would find its
/// locks held, by threads that it doesn't have. No code that needs the GIL runs meanwhile.
pub(crate) struct HeldOff(());

/// Holds off forks, after one that has begun.
pub(crate) fn hold_off() -> HeldOff {
    loop {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        if !FORKING.load(Ordering::SeqCst) {
            return HeldOff(());
        }
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        park_timeout(INTERVAL);
    }
}

impl Drop for HeldOff {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until no other thread runs the engine. This thread forks next, and has the GIL.
#[pyfunction]
pub(crate) fn before_fork() {
    FORKING.store(true, Ordering::SeqCst);
    while RUNNING.load(Ordering::SeqCst) > 0 {
        park_timeout(INTERVAL);
    }
}

/// Lets threads run the engine again, in the parent.
#[pyfunction]
pub(crate) fn after_fork_in_parent() {
    FORKING.store(false, Ordering::SeqCst);
}
