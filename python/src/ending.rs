//! The end of the interpreter.
//!
//! Until Python 3.14, an interpreter that ends unwinds every other thread that waits for the
//! GIL, and so aborts the process if that thread has frames of Rust on its stack. Before it
//! ends, threads are therefore let out of this module, and not in again.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::park_timeout;
use std::time::Duration;

use pyo3::prelude::*;

/// How many threads are in calls of this module that may run Python code.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
static ENDING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// How many such calls this thread is in.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// Whether the interpreter ends on this thread.
    static ENDS_HERE: Cell<bool> = const { Cell::new(false) };
}

/// How often the end of the interpreter looks whether threads are in a call, and how long it
/// waits in between: a second in all.
const LOOKS: usize = 1000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// How long a thread is kept out. By then the process has ended, unless its end waits for
/// this very thread.
const KEPT_OUT: Duration = Duration::from_secs(5);

/// A call of this thread that may run Python code.
pub(crate) struct Inside(());

/// Begins such a call. While the interpreter ends on another thread, it doesn't begin.
pub(crate) fn enter(py: Python<'_>) -> Inside {
    let depth = DEPTH.get();
    if depth == 0 {
        if ENDING.load(Ordering::SeqCst) && !ENDS_HERE.get() {
            py.detach(|| park_timeout(KEPT_OUT));
        }
        INSIDE.fetch_add(1, Ordering::SeqCst);
    }
    DEPTH.set(depth + 1);
    Inside(())
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

/// The interpreter is about to end on this thread.
#[pyfunction]
pub(crate) fn at_exit(py: Python<'_>) {
    ENDS_HERE.set(true);
    ENDING.store(true, Ordering::SeqCst);
    for _ in 0..LOOKS {
        if INSIDE.load(Ordering::SeqCst) <= DEPTH.get().min(1) {
            return;
        }
        py.detach(|| park_timeout(BETWEEN_LOOKS));
    }
}

/// The process was forked: other threads are not there.
pub(crate) fn after_fork() {
    INSIDE.store(DEPTH.get().min(1), Ordering::SeqCst);
}
