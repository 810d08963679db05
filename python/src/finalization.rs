//! Finalization of the interpreter.
//!
//! Before Python 3.14, finalization unwinds every other thread that waits for the GIL, which
//! aborts the process if the thread has Rust frames on its stack. So finalization first waits
//! for threads to leave this module, and keeps them from entering it again.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::park_timeout;
use std::time::Duration;

use pyo3::prelude::*;

/// The number of threads in calls of this module that may run Python code.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
static FINALIZING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The number of such calls on the stack of this thread.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// Whether this thread finalizes the interpreter.
    static FINALIZES_HERE: Cell<bool> = const { Cell::new(false) };
}

/// How often finalization checks for threads in a call, and how long it waits in between: a
/// second in total.
const CHECKS: usize = 1000;
const CHECK_INTERVAL: Duration = Duration::from_millis(1);

/// How long a thread is kept out. By then the process has exited, unless its exit waits for
/// this thread.
const PARK_TIMEOUT: Duration = Duration::from_secs(5);

/// Guards a call of this thread that may run Python code.
pub(crate) struct Inside(());

/// Enters such a call. While another thread finalizes the interpreter, this waits.
pub(crate) fn enter(py: Python<'_>) -> Inside {
    let depth = DEPTH.get();
    if depth == 0 {
        if FINALIZING.load(Ordering::SeqCst) && !FINALIZES_HERE.get() {
            py.detach(|| park_timeout(PARK_TIMEOUT));
        }
        INSIDE.fetch_add(1, Ordering::SeqCst);
    }
    DEPTH.set(depth + 1);
    Inside(())
}

/// Waits without the GIL, in a call of this thread that finalization doesn't wait for meanwhile. If
/// another thread has begun to finalize the interpreter then, the call is kept out like a new one.
pub(crate) fn detached<T: Send>(py: Python<'_>, wait: impl FnOnce() -> T + Send) -> T {
    let count = DEPTH.get().min(1);
    let finalizes_here = FINALIZES_HERE.get();
    py.detach(move || {
        INSIDE.fetch_sub(count, Ordering::SeqCst);
        let result = wait();
        INSIDE.fetch_add(count, Ordering::SeqCst);
        if FINALIZING.load(Ordering::SeqCst) && !finalizes_here {
            INSIDE.fetch_sub(count, Ordering::SeqCst);
            park_timeout(PARK_TIMEOUT);
            INSIDE.fetch_add(count, Ordering::SeqCst);
        }
        result
    })
}

impl Drop for Inside {
    fn drop(&mut self) {
        let depth = DEPTH.get() - 1;
        DEPTH.set(depth);
        if depth == 0 {
            INSIDE.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Waits for the calls of other threads, before this thread finalizes the interpreter.
#[pyfunction]
pub(crate) fn at_exit(py: Python<'_>) {
    FINALIZES_HERE.set(true);
    FINALIZING.store(true, Ordering::SeqCst);
    for _ in 0..CHECKS {
        if INSIDE.load(Ordering::SeqCst) <= DEPTH.get().min(1) {
            return;
        }
        py.detach(|| park_timeout(CHECK_INTERVAL));
    }
}

/// Resets the count in a forked process, which has no other threads.
pub(crate) fn after_fork() {
    INSIDE.store(DEPTH.get().min(1), Ordering::SeqCst);
}
