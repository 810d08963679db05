//! Operations of the engine as awaitables of Python.

use std::sync::Arc;

use hotshelf_core::sync::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::driver::Driver;
use crate::executor::Task;
use crate::ticket::Ticket;
use crate::write_guard::Write;

/// Turns what an operation gives into a Python object, once that may be done.
pub(crate) type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// Makes an outcome.
pub(crate) fn outcome(
    make: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
) -> Outcome {
    Box::new(make)
}

/// An operation that was begun.
pub(crate) struct Operation {
    state: Mutex<State>,
}

struct State {
    /// What it gave, until that is handed on.
    outcome: Option<Outcome>,
    /// Which of the driver's futures waits for it.
    waiter: Option<usize>,
    ended: bool,
}

impl Operation {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { outcome: None, waiter: None, ended: false }) })
    }

    /// Keeps what the operation gave; says whether somebody waits for it.
    pub(crate) fn ended(&self, outcome: Outcome) -> bool {
        let mut state = self.state.lock();
        state.outcome = Some(outcome);
        state.ended = true;
        state.waiter.is_some()
    }

    /// Gives what the operation gave, or lets a future wait for it.
    ///
    /// Operations run on this thread only, so that none ends in between.
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

    /// Hands on what the operation gave.
    pub(crate) fn settle(&self, py: Python<'_>, driver: &Driver) {
        let mut state = self.state.lock();
        let (outcome, waiter) = (state.outcome.take(), state.waiter.take());
        drop(state);
        let waiter = waiter.and_then(|waiter| driver.take_waiter(waiter));
        let (Some(outcome), Some(waiter)) = (outcome, waiter) else { return };
        let waiter = waiter.bind(py);
        // A future whose caller was cancelled takes nothing.
        let done = waiter.call_method0(intern!(py, "done"));
        if done.and_then(|done| done.extract()).unwrap_or(true) {
            return;
        }
        let settled = match outcome(py) {
            Ok(value) => waiter.call_method1(intern!(py, "set_result"), (value,)),
            Err(error) => waiter.call_method1(intern!(py, "set_exception"), (error,)),
        };
        if let Err(error) = settled {
            error.write_unraisable(py, Some(waiter));
        }
    }

    /// Takes note that nobody waits any more; says whether the operation was under way.
    fn leave(&self, driver: Option<&Driver>) -> bool {
        let mut state = self.state.lock();
        let (waiter, ended) = (state.waiter.take(), state.ended);
        // What it gave and nobody took is dropped in the driver's next turn.
        if ended && state.outcome.is_some() {
            state.waiter = waiter;
            return false;
        }
        drop(state);
        drop(waiter.and_then(|waiter| driver?.take_waiter(waiter)));
        !ended
    }
}

/// An operation that has not ended yet.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Pending {
    /// The event loop's future that is given what the operation gives.
    #[pyo3(get)]
    future: Py<PyAny>,
    task: Arc<Task>,
    operation: Arc<Operation>,
    /// The loop's own. Tracebacks may keep this for long, and are to keep no connection.
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
    /// Ends the operation where it stands: whoever waited for it was cancelled, or closed
    /// on whatever thread.
    fn abandon(&self, py: Python<'_>) {
        let driver = self.driver.bind(py).upgrade_as::<Driver>().ok().flatten();
        let was_under_way = self.operation.leave(driver.as_ref().map(Bound::get));
        self.task.abandon();
        if was_under_way {
            return;
        }
        // Cancelled in the same turn in which it ended: nobody takes what it gave, and the
        // traceback may keep it for long.
        let Ok(given) = self.future.bind(py).call_method0(intern!(py, "result")) else { return };
        if let Ok(ticket) = given.cast::<Ticket>() {
            ticket.get().abandon();
        } else if let Ok(write) = given.cast::<Write>() {
            write.get().abandon();
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.future)
    }
}
