//! Tickets: the right and the duty to load a key.

use std::any::Any;
use std::future::ready;
use std::sync::Arc;

use hotshelf_core::cache::{Decision, Filled, LoadTicket, SharedError, Value};
use hotshelf_core::sync::Mutex;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::PyTraceback;
use pyo3::{PyTraverseError, PyVisit};

use crate::arguments;
use crate::cache::boolean;
use crate::errors::value_error;
use crate::host::{Background, begin};
use crate::limit::{Limit, time_limit};
use crate::pending::outcome;
use crate::trace::InheritedTags;
use crate::value::{Form, PyValue, missing, to_python};

/// The exception of a factory, shared by the callers that waited for it.
pub(crate) struct Failure {
    pub(crate) exception: Py<PyBaseException>,
    /// The traceback of the first raise. Each caller that raises it again starts from it.
    pub(crate) traceback: Option<Py<PyTraceback>>,
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
    /// The form in which the caller takes stored values.
    form: Form,
    /// Renews the lease, if there is one.
    renewal: Background,
}

impl Ticket {
    pub(crate) fn begin(py: Python<'_>, ticket: LoadTicket, form: Form) -> PyResult<Py<Self>> {
        let renewal = match ticket.keep_alive() {
            Some(renewal) => Background::start(py, renewal)?,
            None => Background::start(py, ready(()))?,
        };
        Py::new(py, Self { ticket: Mutex::new(Some(ticket)), form, renewal })
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

    /// Returns the value of an entry that is only stale, as `Cache.read` does; a [`Missing`]
    /// without one.
    ///
    /// [`Missing`]: crate::value::Missing
    #[getter]
    fn previous(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let previous = self.ticket.lock().as_ref().and_then(|it| it.previous().cloned());
        match previous {
            Some(value) => to_python(py, value, self.form),
            None => missing(py),
        }
    }

    /// Returns the limit of a call whose factory runs in another thread; `None` if it waits without
    /// one.
    fn limit(&self) -> Option<Limit> {
        let timeouts = self.ticket.lock().as_ref()?.timeouts();
        timeouts.next().is_some().then(|| Limit::new(timeouts, self.form))
    }

    /// Waits until the call should stop waiting for its factory, and returns the value that it is
    /// given instead, as `Cache.read` does, or raises. Returns `None` if there is no limit.
    fn time_limit<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let timeouts = self.ticket.lock().as_ref().map(LoadTicket::timeouts);
        time_limit(py, timeouts, Some(self.form))
    }

    /// Returns what collects the tags of the values that the factory builds on; `None` if the load
    /// has ended.
    fn inherited_tags(&self) -> Option<InheritedTags> {
        self.ticket.lock().as_ref().map(|ticket| InheritedTags(ticket.inherited_tags()))
    }

    /// Sets what the factory has decided about its value, before the load is completed or fails.
    #[pyo3(signature = (*, ttl=None, tags=None, inherited=None, skip_store=false,
                        rejects_stale=false))]
    fn decide(
        &self,
        ttl: Option<&Bound<'_, PyAny>>,
        tags: Option<&Bound<'_, PyAny>>,
        inherited: Option<&InheritedTags>,
        skip_store: bool,
        rejects_stale: bool,
    ) -> PyResult<()> {
        let inherited = inherited.map(|tags| tags.0.clone());
        let decision = arguments::decision(ttl, tags)?;
        let decision = Decision { inherited, skip_store, rejects_stale, ..decision };
        if let Some(ticket) = self.ticket.lock().as_mut() {
            ticket.decide(decision);
        }
        Ok(())
    }

    /// Stores the loaded value if the options of the cache and the call allow it, and shares
    /// it with the joiners. `raw` is its encoded form, `reason` why it has none; with `unchanged`,
    /// the value is the previous one. Returns whether it was stored.
    #[pyo3(signature = (value, raw, reason=None, unchanged=false))]
    fn complete<'py>(
        &self,
        value: &Bound<'py, PyAny>,
        raw: Option<Vec<u8>>,
        reason: Option<String>,
        unchanged: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, ticket) = (value.py(), self.take()?);
        let loaded = match ticket.previous().filter(|_| unchanged) {
            Some(previous) => previous.clone(),
            None if value.is_none() => Value::Absent,
            None => Value::Present(Arc::new(PyValue::new(value.clone().unbind(), raw, reason))),
        };
        begin(py, async move {
            let filled = ticket.complete(loaded).await;
            outcome(move |py| boolean(py, Ok(filled == Filled::Stored)))
        })
    }

    /// Ends a load whose factory has raised an exception. Returns the stored value that the
    /// caller is given instead, as `Cache.read` does; otherwise a [`Missing`], and the callers
    /// that joined before the load began are given the exception, too.
    ///
    /// [`Missing`]: crate::value::Missing
    fn fail<'py>(
        &self,
        py: Python<'py>,
        exception: Py<PyBaseException>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (ticket, form) = (self.take()?, self.form);
        let traceback = exception.bind(py).getattr("__traceback__")?.extract()?;
        let failure: SharedError = Arc::new(Failure { exception, traceback });
        begin(py, async move {
            let instead = ticket.fail(&failure).await;
            outcome(move |py| match instead {
                Some(value) => to_python(py, value, form),
                None => missing(py),
            })
        })
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
