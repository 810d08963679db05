//! Writing to the source of truth and to the cache as one.

use hotshelf_core::cache::{WriteGuard, Written};
use hotshelf_core::codec::Opaque;
use hotshelf_core::sync::Mutex;
use pyo3::prelude::*;

use crate::cache::boolean;
use crate::driver::{Background, Driver};
use crate::errors::wrong;
use crate::pending::outcome;
use crate::store::begin;
use crate::value::PyValue;

/// The encoded form of a value, or the reason why it has none.
type Encoded = (Option<Vec<u8>>, Option<String>);

/// Keys that were taken over for a write. Abandoned, they are invalidated.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Write {
    guard: Mutex<Option<WriteGuard>>,
    /// Keeps the leases alive.
    renewal: Background,
}

impl Write {
    pub(crate) fn begin(py: Python<'_>, guard: WriteGuard) -> PyResult<Self> {
        let renewal = Driver::background(py, guard.keep_alive())?;
        Ok(Self { guard: Mutex::new(Some(guard)), renewal })
    }
}

#[pymethods]
impl Write {
    /// Stores what was written, a value for each key in their order: its encoded form, and
    /// the reason where it has none. A key without a value is invalidated. Returns whether
    /// all are stored.
    fn finish<'py>(
        &self,
        py: Python<'py>,
        values: Vec<Option<Encoded>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.renewal.end();
        let guard = self.guard.lock().take();
        let guard = guard.ok_or_else(|| wrong("the write has ended already"))?;
        let value = |(raw, reason)| PyValue::new(py.None(), raw, reason);
        let values: Vec<_> = values.into_iter().map(|written| written.map(value)).collect();
        let written = guard.written(values.iter().map(|value| Some(value.as_ref()? as &Opaque)));
        begin(py, async move {
            let stored = written.send().await.map(|written| written == Written::Stored);
            outcome(move |py| boolean(py, stored))
        })
    }

    /// Ends the write: the keys are invalidated in the background.
    pub(crate) fn abandon(&self) {
        let guard = self.guard.lock().take();
        self.renewal.end_with(guard);
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        self.abandon();
    }
}
