//! Limits of calls that wait for a factory in another thread.

use std::future::pending;

use futures_channel::oneshot;
use hotshelf_core::cache::{LoadTimeouts, Waited};
use hotshelf_core::sync::Mutex;
use pyo3::prelude::*;

use crate::errors::{load_timed_out, value_error};
use crate::host::begin;
use crate::pending::outcome;
use crate::value::{Form, to_python};

/// Waits until a call should stop waiting for its factory, and returns the stale value that it is
/// given instead, converted to `form`, or raises. With `None` as the form it always raises. Returns
/// `None` if the call has no limit.
pub(crate) fn time_limit(
    py: Python<'_>,
    timeouts: Option<LoadTimeouts>,
    form: Option<Form>,
) -> PyResult<Option<Bound<'_, PyAny>>> {
    let limited = timeouts.filter(|timeouts| timeouts.next().is_some());
    let begin_limit = |timeouts: LoadTimeouts| {
        begin(py, async move {
            // It doesn't wait for a load, but for its own end.
            let (waited, _) = timeouts.wait(pending::<()>()).await;
            outcome(move |py| match (waited, form) {
                (Waited::Stale(value), Some(form)) => to_python(py, value, form),
                (Waited::Stale(_) | Waited::TimedOut | Waited::Done(()), _) => {
                    Err(load_timed_out())
                }
            })
        })
    };
    limited.map(begin_limit).transpose()
}

/// How long a call waits for a factory that runs in another thread.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Limit {
    form: Form,
    waits: Mutex<Option<(LoadTimeouts, oneshot::Receiver<()>)>>,
    ends: Mutex<Option<oneshot::Sender<()>>>,
}

impl Limit {
    pub(crate) fn new(timeouts: LoadTimeouts, form: Form) -> Self {
        let (sender, receiver) = oneshot::channel();
        let (waits, ends) = (Mutex::new(Some((timeouts, receiver))), Mutex::new(Some(sender)));
        Self { form, waits, ends }
    }
}

#[pymethods]
impl Limit {
    /// Waits until the call should stop waiting, and returns the value that it is given instead, as
    /// `Cache.read` does, or raises. Returns `None` if the factory has ended before.
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (waits, form) = (self.waits.lock().take(), self.form);
        let (timeouts, ended) = waits.ok_or_else(|| value_error("it is waited for already"))?;
        begin(py, async move {
            let (waited, _) = timeouts.wait(ended).await;
            outcome(move |py| match waited {
                Waited::Done(_) => Ok(py.None()),
                Waited::Stale(value) => to_python(py, value, form),
                Waited::TimedOut => Err(load_timed_out()),
            })
        })
    }

    /// Ends the wait, since the factory has ended. It may be called on any thread.
    fn end(&self) {
        if let Some(sender) = self.ends.lock().take() {
            // It fails if nobody waits any more.
            let _ = sender.send(());
        }
    }
}
