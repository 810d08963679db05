//! Refreshes: loads of keys whose value is served meanwhile.

use hotshelf_core::cache::{self, Begun, Value};
use hotshelf_core::sync::Mutex;
use pyo3::prelude::*;

use crate::errors::value_error;
use crate::host::begin;
use crate::pending::outcome;
use crate::ticket::Ticket;
use crate::value::{Form, to_python};

/// A value that isn't fresh or won't be for long, and the right and the duty to load it anew. If
/// it is abandoned, no caller of this process refreshes the value for a second.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Refresh {
    value: Value,
    form: Form,
    refresh: Mutex<Option<cache::Refresh>>,
}

impl Refresh {
    pub(crate) fn new(value: Value, refresh: cache::Refresh, form: Form) -> Self {
        Self { value, form, refresh: Mutex::new(Some(refresh)) }
    }
}

#[pymethods]
impl Refresh {
    /// Returns the value.
    #[getter]
    fn value(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        to_python(py, self.value.clone(), self.form)
    }

    /// Requests the right to load. Returns a [`Ticket`], or `None` if another process loads the
    /// key, or has just loaded it.
    fn begin<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (refresh, form) = (self.refresh.lock().take(), self.form);
        let refresh = refresh.ok_or_else(|| value_error("the refresh has already begun"))?;
        begin(py, async move {
            let begun = refresh.begin().await;
            outcome(move |py| match begun {
                Begun::Lead(ticket) => Ok(Ticket::begin(py, *ticket, form)?.into_any()),
                Begun::Found(_) | Begun::Later => Ok(py.None()),
            })
        })
    }

    /// Leaves the value as it is.
    pub(crate) fn abandon(&self) {
        drop(self.refresh.lock().take());
    }
}
