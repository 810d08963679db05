//! Operations of the engine as awaitables of Python.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use crate::driver::Driver;
use crate::executor::Task;

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
    /// The future of the event loop that waits for it.
    waiter: Option<Py<PyAny>>,
}

impl Operation {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { outcome: None, waiter: None }) })
    }

    /// Keeps what the operation gave; says whether somebody waits for it.
    pub(crate) fn ended(&self, outcome: Outcome) -> bool {
        let mut state = self.lock();
        state.outcome = Some(outcome);
        state.waiter.is_some()
    }

    /// Gives what the operation gave, or lets a future wait for it.
    ///
    /// Operations run on this thread only, so that none ends in between.
    pub(crate) fn outcome_or_wait(
        &self,
        py: Python<'_>,
        make: impl FnOnce() -> PyResult<Py<PyAny>>,
    ) -> PyResult<Result<Outcome, Py<PyAny>>> {
        if let Some(outcome) = self.lock().outcome.take() {
            return Ok(Ok(outcome));
        }
        let waiter = make()?;
        self.lock().waiter = Some(waiter.clone_ref(py));
        Ok(Err(waiter))
    }

    /// Hands on what the operation gave.
    pub(crate) fn settle(&self, py: Python<'_>) {
        let mut state = self.lock();
        let (outcome, waiter) = (state.outcome.take(), state.waiter.take());
        drop(state);
        let (Some(outcome), Some(waiter)) = (outcome, waiter) else { return };
        let waiter = waiter.bind(py);
        // A future whose caller was cancelled takes nothing.
        if waiter.call_method0("done").and_then(|done| done.extract()).unwrap_or(true) {
            return;
        }
        let settled = match outcome(py) {
            Ok(value) => waiter.call_method1("set_result", (value,)),
            Err(error) => waiter.call_method1("set_exception", (error,)),
        };
        if let Err(error) = settled {
            error.write_unraisable(py, Some(waiter));
        }
    }

    /// Says whether the operation is still under way.
    fn is_under_way(&self) -> bool {
        self.lock().outcome.is_none()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    driver: Py<Driver>,
}

impl Pending {
    pub(crate) fn new(
        future: Py<PyAny>,
        task: Arc<Task>,
        operation: Arc<Operation>,
        driver: Py<Driver>,
    ) -> Self {
        Self { future, task, operation, driver }
    }
}

#[pymethods]
impl Pending {
    /// Ends the operation where it stands: whoever waited for it was cancelled, or closed
    /// on whatever thread.
    fn abandon(&self) {
        self.task.abandon();
        if self.operation.is_under_way() {
            self.driver.get().forget_one();
        }
    }
}
