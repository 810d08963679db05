//! Loads of many keys.

use std::future::ready;
use std::sync::Arc;

use hotshelf_core::cache::{self, Ended, SharedError, Value};
use hotshelf_core::sync::Mutex;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::errors::{backing_off, load_timed_out, value_error};
use crate::host::{Background, begin};
use crate::limit::time_limit;
use crate::pending::{Outcome, outcome};
use crate::ticket::{Failed, Failure};
use crate::value::{Form, PyValue, to_python};

/// A value that was loaded: the object, its encoded form, or the reason why it has none.
type Loaded<'py> = (Bound<'py, PyAny>, Option<Vec<u8>>, Option<String>);

/// A step of a load of many keys: the right and the duty to load some of them, or its end. If it
/// is abandoned, its loads are handed over to the callers that wait for them.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct ManyLoad {
    load: Mutex<Option<cache::ManyLoad>>,
    /// The positions of the keys to load; `None` when there are none left.
    positions: Option<Vec<usize>>,
    /// The form in which the caller takes stored values.
    form: Form,
    /// Renews the leases.
    renewal: Background,
}

impl ManyLoad {
    /// Goes on until there are keys to load, or none are left.
    pub(crate) async fn next(mut load: cache::ManyLoad, form: Form) -> Outcome {
        let positions = load.next().await;
        outcome(move |py| {
            let renewal = match &positions {
                Some(_) => Background::start(py, load.keep_alive())?,
                None => Background::start(py, ready(()))?,
            };
            let load = Mutex::new(Some(load));
            Ok(Py::new(py, Self { load, positions, form, renewal })?.into_any())
        })
    }

    fn take(&self) -> PyResult<cache::ManyLoad> {
        self.renewal.stop();
        self.load.lock().take().ok_or_else(|| value_error("the load has already gone on"))
    }
}

#[pymethods]
impl ManyLoad {
    /// The positions of the keys to load, each distinct key once; `None` when there are none left.
    #[getter]
    fn positions(&self) -> Option<Vec<usize>> {
        self.positions.clone()
    }

    /// Whether one of the keys to load has a stale value.
    #[getter]
    fn has_stale_values(&self) -> bool {
        self.load.lock().as_ref().is_some_and(cache::ManyLoad::has_stale_values)
    }

    /// Waits until the call should stop waiting for its factory, and raises. Returns `None` if
    /// there is no limit.
    fn time_limit<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        time_limit(py, self.load.lock().as_ref().map(cache::ManyLoad::timeouts), None)
    }

    /// Stores the values of the keys at `positions`, in their order, shares them with the callers
    /// that wait, and returns the next step.
    fn complete<'py>(
        &self,
        py: Python<'py>,
        values: Vec<Loaded<'py>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (mut load, form) = (self.take()?, self.form);
        let value = |(object, raw, reason): Loaded<'py>| match object.is_none() {
            true => Value::Absent,
            false => Value::Present(Arc::new(PyValue::new(object.unbind(), raw, reason))),
        };
        let values: Vec<Value> = values.into_iter().map(value).collect();
        begin(py, async move {
            load.complete(values).await;
            Self::next(load, form).await
        })
    }

    /// Ends the loads of the keys at `positions`, whose factory has raised an exception. Returns
    /// the next step if all of them have a stale value, which is served; otherwise `None`.
    fn fail<'py>(
        &self,
        py: Python<'py>,
        exception: Py<PyBaseException>,
        rejects_stale: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (mut load, form) = (self.take()?, self.form);
        let traceback = exception.bind(py).getattr("__traceback__")?.extract()?;
        let failure: SharedError = Arc::new(Failure { exception, traceback });
        if rejects_stale {
            load.reject_stale();
        }
        begin(py, async move {
            match load.fail(&failure).await {
                true => Self::next(load, form).await,
                false => outcome(|py| Ok(py.None())),
            }
        })
    }

    /// Returns what was found for each key of the call, in their order, as `Cache.load` does; for
    /// a key without a value the exception that says why, which is the first one.
    fn outcomes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (load, form) = (self.take()?, self.form);
        let mut found = Vec::new();
        for ended in load.outcomes() {
            found.push(match ended {
                Ended::Value(value) => to_python(py, value, form)?,
                Ended::Failed(error) => return Ok(Failed::of(py, &error)?.into_bound(py)),
                Ended::BackingOff(left) => return Err(backing_off(left)),
                Ended::TimedOut => return Err(load_timed_out()),
            });
        }
        Ok(PyList::new(py, found)?.into_any())
    }

    /// Hands the loads over to the callers that wait for them.
    pub(crate) fn abandon(&self) {
        let load = self.load.lock().take();
        self.renewal.stop_and_drop(load);
    }
}

impl Drop for ManyLoad {
    fn drop(&mut self) {
        self.abandon();
    }
}
