//! The right, and the duty, to load.

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
use crate::errors::wrong;
use crate::pending::outcome;
use crate::store::begin;
use crate::value::PyValue;

/// The exception of a factory, which those who waited for it share.
pub(crate) struct Failure {
    exception: Py<PyBaseException>,
    /// Where it was raised. Each caller that raises it again starts from here.
    traceback: Option<Py<PyTraceback>>,
}

/// The exception of another caller's factory, to be raised again.
#[pyclass(frozen, get_all, module = "hotshelf._hotshelf")]
pub(crate) struct Failed {
    exception: Py<PyBaseException>,
    traceback: Option<Py<PyTraceback>>,
}

impl Failed {
    pub(crate) fn of(py: Python<'_>, shared: &Arc<dyn Any + Send + Sync>) -> PyResult<Py<PyAny>> {
        let Some(Failure { exception, traceback }) = shared.downcast_ref() else {
            return Err(wrong("another caller's factory failed"));
        };
        let traceback = traceback.as_ref().map(|traceback| traceback.clone_ref(py));
        Ok(Py::new(py, Self { exception: exception.clone_ref(py), traceback })?.into_any())
    }
}

// The exception's traceback may keep the frame that raises it again, which keeps this.
#[pymethods]
impl Failed {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.exception)?;
        visit.call(&self.traceback)
    }
}

/// The right, and the duty, to load for oneself and those who wait. Abandoned, the load is
/// handed over to the caller that has waited longest.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Ticket {
    ticket: Mutex<Option<LoadTicket>>,
    /// Keeps the lease alive, if there is one.
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
        self.renewal.end();
        self.ticket.lock().take().ok_or_else(|| wrong("the load has ended already"))
    }
}

#[pymethods]
impl Ticket {
    /// Whether the value can be stored.
    #[getter]
    fn can_store(&self) -> bool {
        self.ticket.lock().as_ref().is_some_and(LoadTicket::can_store)
    }

    /// Stores what was loaded, as far as the cache's and the call's options allow it, and
    /// shares it with those who wait: its encoded form, or the reason why it has none.
    /// Returns whether it is stored.
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

    /// Shares the factory's exception with those who came before the load began.
    fn fail(&self, py: Python<'_>, exception: Py<PyBaseException>) -> PyResult<()> {
        let ticket = self.take()?;
        let traceback = exception.bind(py).getattr("__traceback__")?.extract()?;
        let failure: SharedError = Arc::new(Failure { exception, traceback });
        Driver::within(py, || ticket.fail(&failure))
    }

    /// Hands the load over to the caller that has waited longest.
    pub(crate) fn abandon(&self) {
        let ticket = self.ticket.lock().take();
        self.renewal.end_with(ticket);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.abandon();
    }
}
