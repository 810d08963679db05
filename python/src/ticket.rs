//! The right, and the duty, to load.

use std::any::Any;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hotshelf_core::engine::{self, Filled, Standing, Value};
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::PyTraceback;
use pyo3::{PyTraverseError, PyVisit};

use crate::cache::{Inner, Shareable};
use crate::driver::{Background, Driver};
use crate::errors::wrong;
use crate::pending::outcome;
use crate::store::begin;
use crate::sync::lock;

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

/// A value of another caller of this process that has no form in which it can be stored.
#[pyclass(frozen, get_all, module = "hotshelf._hotshelf")]
pub(crate) struct Given {
    pub(crate) value: Py<PyAny>,
}

#[pymethods]
impl Given {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.value)
    }
}

/// The right, and the duty, to load for oneself and those who wait. Left alone, it goes to
/// the caller that has waited longest.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Ticket {
    ticket: Mutex<Option<engine::Ticket>>,
    /// Keeps the lease alive.
    renewal: Background,
    cache: Arc<Inner>,
}

impl Ticket {
    pub(crate) fn begin(
        py: Python<'_>,
        ticket: engine::Ticket,
        cache: Arc<Inner>,
    ) -> PyResult<Py<Self>> {
        let renewal = Driver::background(py, ticket.keep_alive())?;
        Py::new(py, Self { ticket: Mutex::new(Some(ticket)), renewal, cache })
    }

    fn take(&self) -> PyResult<engine::Ticket> {
        self.renewal.end();
        lock(&self.ticket).take().ok_or_else(|| wrong("the load has ended already"))
    }
}

#[pymethods]
impl Ticket {
    /// Whether the value can be stored.
    #[getter]
    fn can_store(&self) -> bool {
        lock(&self.ticket).as_ref().is_some_and(engine::Ticket::can_store)
    }

    /// Stores a value, or with `None` that there is none, and gives it to those who wait;
    /// says whether it stands.
    #[pyo3(signature = (value, ttl=None))]
    fn fill<'py>(
        &self,
        py: Python<'py>,
        value: Option<Vec<u8>>,
        ttl: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let ttl = self.cache.ttl(ttl)?;
        let (ticket, cache) = (self.take()?, Arc::clone(&self.cache));
        let ttl = cache.jitter.apply(ttl, cache.shared.state().engine.runtime());
        let value: Option<Bytes> = value.map(Bytes::from);
        let shared = share(value.as_ref());
        begin(py, async move {
            let entry = match value {
                // That there is no value never replaces the entry of another cache.
                None => (ticket.standing().await != Standing::Foreign).then_some(None),
                Some(value) => cache.storable(value).ok().map(Some),
            };
            let stands = match entry {
                Some(entry) => ticket.fill(entry, ttl, shared).await == Filled::Stored,
                None => {
                    ticket.share(shared).await;
                    false
                }
            };
            outcome(move |py| Ok(stands.into_pyobject(py)?.to_owned().into_any().unbind()))
        })
    }

    /// Gives a value to those who came before the load began, and stores nothing.
    fn share<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (py, ticket) = (value.py(), self.take()?);
        let shared = match value.is_none() {
            true => Value::Absent,
            false => Value::Present(Arc::new(Shareable::Object(value.clone().unbind()))),
        };
        begin(py, async move {
            ticket.share(shared).await;
            outcome(|py| Ok(py.None()))
        })
    }

    /// Gives the factory's exception to those who came before the load began.
    fn fail(&self, py: Python<'_>, exception: Py<PyBaseException>) -> PyResult<()> {
        let ticket = self.take()?;
        let traceback = exception.bind(py).getattr("__traceback__")?.extract()?;
        let failure: engine::SharedError = Arc::new(Failure { exception, traceback });
        Driver::within(py, || ticket.fail(&failure))
    }

    /// Leaves the load to the caller that has waited longest.
    pub(crate) fn abandon(&self) {
        let ticket = lock(&self.ticket).take();
        self.renewal.end_with(ticket);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.abandon();
    }
}

fn share(value: Option<&Bytes>) -> Value {
    match value {
        Some(value) => Value::Present(Arc::new(Shareable::Bytes(value.clone()))),
        None => Value::Absent,
    }
}
