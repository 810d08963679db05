//! What operations run on: the event loop of their thread, or the thread itself.

use std::sync::Arc;

use futures_util::FutureExt;
use hotshelf_core::{Error, ErrorKind};
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;

use crate::driver::{self, Driver};
use crate::errors::exception;
use crate::executor::{Executor, Task};
use crate::pending::Outcome;
use crate::threads::ThreadDriver;
use crate::{finalization, kept, log, spans, threads};

/// What operations of a thread run on.
pub(crate) enum Here<'py> {
    /// Its event loop.
    Loop(Bound<'py, Driver>),
    /// The thread itself, which they block.
    Thread(Arc<ThreadDriver>),
    /// Nothing: the system has no more files, or threads.
    Nothing(PyErr),
}

impl<'py> Here<'py> {
    /// Returns what operations of this thread run on.
    ///
    /// # Errors
    /// If it has no event loop, and may not be blocked.
    pub(crate) fn find(py: Python<'py>) -> PyResult<Self> {
        let _inside = finalization::enter(py);
        let found = match Driver::on_this_loop(py) {
            Ok(Some(driver)) => Ok(Self::Loop(driver)),
            Ok(None) if threads::may_block() => {
                ThreadDriver::of_this_process().map(Self::Thread).map_err(PyErr::from)
            }
            Ok(None) => return Err(no_loop()),
            Err(error) => Err(error),
        };
        found.or_else(|error| match error.is_instance_of::<PyOSError>(py) {
            true => Ok(Self::Nothing(error)),
            false => Err(error),
        })
    }

    /// Returns `true` if only operations run that complete at once.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing(_))
    }

    /// Begins an operation, see [`begin`].
    pub(crate) fn begin<F>(self, py: Python<'py>, operation: F) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let _inside = finalization::enter(py);
        match self {
            Self::Loop(driver) => Driver::begin(&driver, operation),
            Self::Thread(driver) => threads::run(py, &driver, operation),
            Self::Nothing(error) => match operation.now_or_never() {
                Some(outcome) => Ok(outcome(py)?.into_bound(py)),
                None => {
                    let message = format!("the cache can't run: {error}");
                    Err(exception(&Error::new(ErrorKind::Unavailable, message)))
                }
            },
        }
    }
}

/// Begins an operation. On an event loop it returns the result if it completes immediately, or
/// else a [`Pending`]; in a thread that operations may block, it returns the result.
///
/// [`Pending`]: crate::pending::Pending
pub(crate) fn begin<F>(py: Python<'_>, operation: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = Outcome> + Send + 'static,
{
    Here::find(py)?.begin(py, operation)
}

/// A background task, which is stopped on drop.
pub(crate) struct Background(Option<Arc<Task>>);

impl Background {
    /// Runs a future in the background of the loop that runs on this thread, or of the threads.
    pub(crate) fn start(
        py: Python<'_>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> PyResult<Self> {
        let _inside = finalization::enter(py);
        let task = match Here::find(py)? {
            Here::Loop(driver) => Some(Driver::background(&driver, work)?),
            Here::Thread(driver) => Some(threads::background(py, &driver, work)),
            Here::Nothing(_) => None,
        };
        Ok(Self(task))
    }

    /// Stops the task.
    pub(crate) fn stop(&self) {
        self.0.iter().for_each(|task| task.abandon());
    }

    /// Stops the task, and drops a value of the same loop. It may be called on any thread.
    pub(crate) fn stop_and_drop<T>(&self, value: T) {
        self.stop();
        match &self.0 {
            Some(task) => task.drop_on_its_loop(value),
            None => drop(value),
        }
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
