//! Writes to the source of truth and to the cache as one.

use hotshelf_core::cache::{WriteGuard, Written};
use hotshelf_core::codec::Opaque;
use hotshelf_core::sync::Mutex;
use pyo3::prelude::*;

use crate::cache::boolean;
use crate::errors::value_error;
use crate::host::{Background, begin};
use crate::pending::outcome;
use crate::value::PyValue;

/// The encoded form of a value, or the reason why it has none.
type Encoded = (Option<Vec<u8>>, Option<String>);

/// Holds the keys that a write has taken over. If it is abandoned, they are invalidated.
#[pyclass(frozen, name = "WriteGuard", module = "hotshelf._hotshelf")]
pub(crate) struct PyWriteGuard {
    guard: Mutex<Option<WriteGuard>>,
    /// Renews the leases.
    renewal: Background,
}

impl PyWriteGuard {
    pub(crate) fn begin(py: Python<'_>, guard: WriteGuard) -> PyResult<Self> {
        let renewal = Background::start(py, guard.keep_alive())?;
        Ok(Self { guard: Mutex::new(Some(guard)), renewal })
    }
}

#[pymethods]
impl PyWriteGuard {
    /// Stores the written values of the keys, in their order: the encoded form, or the reason
    /// why it is missing. A key without a value is invalidated. Returns whether all were
    /// stored.
    fn finish<'py>(
        &self,
        py: Python<'py>,
        values: Vec<Option<Encoded>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.renewal.stop();
        let guard = self.guard.lock().take();
        let guard = guard.ok_or_else(|| value_error("the write has already finished"))?;
        let value = |(raw, reason)| PyValue::new(py.None(), raw, reason);
        let values: Vec<_> = values.into_iter().map(|written| written.map(value)).collect();
        let written = guard.written(values.iter().map(|value| Some(value.as_ref()? as &Opaque)));
        begin(py, async move {
            let stored = written.send().await.map(|written| written == Written::Stored);
            outcome(move |py| boolean(py, stored))
        })
    }

    /// Abandons the write, and invalidates the keys in the background.
    pub(crate) fn abandon(&self) {
        let guard = self.guard.lock().take();
        self.renewal.stop_and_drop(guard);
    }
}

impl Drop for PyWriteGuard {
    fn drop(&mut self) {
        self.abandon();
    }
}
