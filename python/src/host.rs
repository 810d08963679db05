//! What operations run on: the event loop of their thread, or the thread itself.

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::driver::{self, Driver};
use crate::executor::{Executor, Task};
use crate::pending::Outcome;
use crate::{finalization, kept, log, spans, threads};

/// Begins an operation. On an event loop it returns the result if it completes immediately, or
/// else a [`Pending`]; in a thread that operations may block, it returns the result.
///
/// [`Pending`]: crate::pending::Pending
pub(crate) fn begin<F>(py: Python<'_>, operation: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let _inside = finalization::enter(py);
    match Driver::on_this_loop(py)? {
        Some(driver) => Driver::begin(&driver, operation),
        None if threads::may_block() => threads::run(py, operation),
        None => Err(no_loop()),
    }
}

/// A background task, which is stopped on drop.
pub(crate) struct Background(Arc<Task>);

impl Background {
    /// Runs a future in the background of the loop that runs on this thread, or of the threads.
    pub(crate) fn start(
        py: Python<'_>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> PyResult<Self> {
        let _inside = finalization::enter(py);
        match Driver::on_this_loop(py)? {
            Some(driver) => Driver::background(&driver, work),
            None if threads::may_block() => threads::background(py, work),
            None => Err(no_loop()),
        }
        .map(Self)
    }

    /// Stops the task.
    pub(crate) fn stop(&self) {
        self.0.abandon();
    }

    /// Stops the task, and drops a value of the same loop. It may be called on any thread.
    pub(crate) fn stop_and_drop<T>(&self, value: T) {
        self.stop();
        self.0.drop_on_its_loop(value);
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Hands over to Python what operations have left for it, when its code may run.
pub(crate) fn hand_over(py: Python<'_>) {
    log::flush(py);
    spans::flush(py);
    kept::release(py);
}

/// Returns the executor of an open loop that meets a condition, or else that of the threads.
pub(crate) fn open_executor(picks: impl Fn(&Executor) -> bool) -> Option<Arc<Executor>> {
    driver::open_executor(&picks).or_else(|| threads::executor().filter(|it| picks(it)))
}

/// Forgets the executors of the parent in a forked process. Their sockets are closed, or the
/// parent's connections would outlive it. Everything else is leaked, since dropping it would
/// continue operations of the parent.
pub(crate) fn forget_all(py: Python<'_>) -> PyResult<()> {
    let close = py.import("os")?.getattr("close")?;
    for executor in driver::forget_all().into_iter().chain(threads::forget()) {
        for descriptor in executor.sockets().descriptors() {
            // It fails if the descriptor is already closed.
            let _ = close.call1((descriptor,));
        }
        std::mem::forget(executor);
    }
    Ok(())
}

fn no_loop() -> PyErr {
    PyRuntimeError::new_err(
        "no running event loop of asyncio: call it from a coroutine on asyncio or uvloop (trio is \
         not supported), or use hotshelf.sync",
    )
}
