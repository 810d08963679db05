//! Tickets: the right and the duty to load a key.

use std::any::Any;
use std::sync::Arc;

use hotshelf_core::cache::{Filled, LoadTicket, SharedError, Value};
use hotshelf_core::sync::Mutex;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::PyTraceback;
use pyo3::{PyTraverseError, PyVisit};

use crate::cache::boolean;
use crate::driver::{Background, Driver};
use crate::errors::value_error;
use crate::pending::outcome;
use crate::store::begin;
use crate::value::PyValue;

/// The exception of a factory, shared by the callers that waited for it.
pub(crate) struct Failure {
    exception: Py<PyBaseException>,
    /// The traceback of the first raise. Each caller that raises it again starts from it.
    traceback: Option<Py<PyTraceback>>,
}

/// The exception of another caller's factory, for Python code to raise again.
#[pyclass(frozen, get_all, module = "hotshelf._hotshelf")]
pub(crate) struct Failed {
    exception: Py<PyBaseException>,
    traceback: Option<Py<PyTraceback>>,
}

impl Failed {
    pub(crate) fn of(py: Python<'_>, shared: &Arc<dyn Any + Send + Sync>) -> PyResult<Py<PyAny>> {
        let Some(Failure { exception, traceback }) = shared.downcast_ref() else {
            return Err(value_error("another caller's factory failed"));
        };
        let traceback = traceback.as_ref().map(|traceback| traceback.clone_ref(py));
        Ok(Py::new(py, Self { exception: exception.clone_ref(py), traceback })?.into_any())
    }
}

// The exception's traceback may refer to the frame that raises it again, and so to this object.
#[pymethods]
impl Failed {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.exception)?;
        visit.call(&self.traceback)
    }
}

/// The right and the duty to load a key, for the caller and its joiners. If it is abandoned,
/// the load is handed over to the joiner that has waited longest.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Ticket {
    ticket: Mutex<Option<LoadTicket>>,
    /// Renews the lease, if there is one.
    renewal: Background,
}

impl Ticket {
    pub(crate) fn begin(py: Python<'_>, ticket: LoadTicket) -> PyResult<Py<Self>> {
        let renewal = match ticket.keep_alive() {
            Some(renewal) => Driver::background(py, renewal)?,
            None => Driver::background(py, std::future::ready(()))?,
        };
        Py::new(py, Self { ticket: Mutex::new(Some(ticket)), renewal })
    }

    fn take(&self) -> PyResult<LoadTicket> {
        self.renewal.stop();
        self.ticket.lock().take().ok_or_else(|| value_error("the load has already finished"))
    }
}

#[pymethods]
impl Ticket {
    /// Returns whether the value can be stored.
    #[getter]
    fn can_store(&self) -> bool {
        self.ticket.lock().as_ref().is_some_and(LoadTicket::can_store)
    }

    /// Stores the loaded value if the options of the cache and the call allow it, and shares
    /// it with the joiners. `raw` is its encoded form, `reason` why it has none. Returns
    /// whether it was stored.
    #[pyo3(signature = (value, raw, reason=None))]
    fn complete<'py>(
        &self,
        value: &Bound<'py, PyAny>,
        raw: Option<Vec<u8>>,
        reason: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, ticket) = (value.py(), self.take()?);
        let loaded = match value.is_none() {
            true => Value::Absent,
            false => Value::Present(Arc::new(PyValue::new(value.clone().unbind(), raw, reason))),
        };
        begin(py, async move {
            let filled = ticket.complete(loaded).await;
            outcome(move |py| boolean(py, Ok(filled == Filled::Stored)))
        })
    }

    /// Shares the factory's exception with the callers that joined before the load began.
    fn fail(&self, py: Python<'_>, exception: Py<PyBaseException>) -> PyResult<()> {
        let ticket = self.take()?;
        let traceback = exception.bind(py).getattr("__traceback__")?.extract()?;
        let failure: SharedError = Arc::new(Failure { exception, traceback });
        Driver::run_on_loop(py, || ticket.fail(&failure))
    }

    /// Hands the load over to the joiner that has waited longest.
    pub(crate) fn abandon(&self) {
        let ticket = self.ticket.lock().take();
        self.renewal.stop_and_drop(ticket);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.abandon();
    }
}
