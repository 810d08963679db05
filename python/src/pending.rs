//! Exposes operations of the engine as Python awaitables.

use std::sync::Arc;

use hotshelf_core::Error;
use hotshelf_core::sync::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::driver::Driver;
use crate::errors::exception;
use crate::executor::Task;
use crate::load_many::ManyLoad;
use crate::refresh::Refresh;
use crate::ticket::Ticket;
use crate::write_guard::PyWriteGuard;

/// Converts the result of an operation to a Python object, when Python code may run.
pub(crate) type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// Creates an outcome.
pub(crate) fn outcome(
    convert: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
) -> Outcome {
    Box::new(convert)
}

/// Creates the outcome of an operation that has no result, only success.
pub(crate) fn done<T>(result: Result<T, Error>) -> Outcome {
    let done = result.map(drop);
    outcome(move |py| done.map(|()| py.None()).map_err(|error| exception(&error)))
}

/// The state of an operation.
pub(crate) struct Operation {
    state: Mutex<State>,
}

struct State {
    /// The outcome, until it is taken.
    outcome: Option<Outcome>,
    /// The index of the waiting future in the driver.
    waiter: Option<usize>,
    finished: bool,
}

impl Operation {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { outcome: None, waiter: None, finished: false }) })
    }

    /// Stores the outcome, and returns `true` if a future waits for it.
    pub(crate) fn finish(&self, outcome: Outcome) -> bool {
        let mut state = self.state.lock();
        state.outcome = Some(outcome);
        state.finished = true;
        state.waiter.is_some()
    }

    /// Returns the outcome, or registers the waiter that `wait` creates.
    ///
    /// Operations run on this thread only, so that none finishes in between.
    pub(crate) fn outcome_or_wait(
        &self,
        wait: impl FnOnce() -> PyResult<usize>,
    ) -> PyResult<Option<Outcome>> {
        if let Some(outcome) = self.state.lock().outcome.take() {
            return Ok(Some(outcome));
        }
        let waiter = wait()?;
        self.state.lock().waiter = Some(waiter);
        Ok(None)
    }

    /// Completes the waiting future with the outcome.
    pub(crate) fn resolve(&self, py: Python<'_>, driver: &Driver) {
        let mut state = self.state.lock();
        let (outcome, waiter) = (state.outcome.take(), state.waiter.take());
        drop(state);
        let waiter = waiter.and_then(|waiter| driver.take_waiter(waiter));
        let (Some(outcome), Some(waiter)) = (outcome, waiter) else { return };
        let waiter = waiter.bind(py);
        // If its caller was cancelled, the future is already done.
        let done = waiter.call_method0(intern!(py, "done"));
        if done.and_then(|done| done.extract()).unwrap_or(true) {
            return;
        }
        let resolved = match outcome(py) {
            Ok(value) => waiter.call_method1(intern!(py, "set_result"), (value,)),
            Err(error) => waiter.call_method1(intern!(py, "set_exception"), (error,)),
        };
        if let Err(error) = resolved {
            error.write_unraisable(py, Some(waiter));
        }
    }

    /// Removes the waiter, and returns `true` if the operation was still running.
    fn detach(&self, driver: Option<&Driver>) -> bool {
        let mut state = self.state.lock();
        let (waiter, finished) = (state.waiter.take(), state.finished);
        // The driver drops an outcome that was not taken in its next turn.
        if finished && state.outcome.is_some() {
            state.waiter = waiter;
            return false;
        }
        drop(state);
        drop(waiter.and_then(|waiter| driver?.take_waiter(waiter)));
        !finished
    }
}

/// An operation that has not finished yet.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Pending {
    /// The event loop's future that is completed with the result of the operation.
    #[pyo3(get)]
    future: Py<PyAny>,
    task: Arc<Task>,
    operation: Arc<Operation>,
    /// Weak, since the loop owns the driver, and a traceback that keeps this object must not
    /// keep connections open.
    driver: Py<PyWeakrefReference>,
}

impl Pending {
    pub(crate) fn new(
        future: Py<PyAny>,
        task: Arc<Task>,
        operation: Arc<Operation>,
        driver: &Bound<'_, Driver>,
    ) -> PyResult<Self> {
        let driver = PyWeakrefReference::new(driver)?.unbind();
        Ok(Self { future, task, operation, driver })
    }
}

#[pymethods]
impl Pending {
    /// Drops the operation. Its caller was cancelled, or closed on any thread.
    fn abandon(&self, py: Python<'_>) {
        let driver = self.driver.bind(py).upgrade_as::<Driver>().ok().flatten();
        let was_running = self.operation.detach(driver.as_ref().map(Bound::get));
        self.task.abandon();
        if was_running {
            return;
        }
        // The caller was cancelled in the turn in which the operation finished, so nobody takes
        // the result, and a traceback may keep it alive.
        let Ok(result) = self.future.bind(py).call_method0(intern!(py, "result")) else { return };
        if let Ok(ticket) = result.cast::<Ticket>() {
            ticket.get().abandon();
        } else if let Ok(refresh) = result.cast::<Refresh>() {
            refresh.get().abandon();
        } else if let Ok(many) = result.cast::<ManyLoad>() {
            many.get().abandon();
        } else if let Ok(write) = result.cast::<PyWriteGuard>() {
            write.get().abandon();
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.future)
    }
}
