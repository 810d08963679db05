//! Where values come from.

use hotshelf_core::cache;
use pyo3::prelude::*;

use crate::convert;

/// Collects the outcome of one call.
#[pyclass(frozen, name = "Collected", module = "hotshelf._hotshelf")]
#[derive(Default)]
pub(crate) struct Trace {
    pub(crate) trace: cache::Trace,
}

#[pymethods]
impl Trace {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Returns what was collected so far, and its text.
    fn outcome<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, String)> {
        let outcome = self.trace.outcome();
        Ok((convert::serialized(py, serde_json::to_value(&outcome))?, outcome.to_string()))
    }

    /// Returns whether the call has found a value, whether that was stale, and what gave it.
    fn lookup<'py>(&self, py: Python<'py>) -> PyResult<(bool, bool, Bound<'py, PyAny>)> {
        let outcome = self.trace.outcome();
        let source = convert::serialized(py, serde_json::to_value(outcome.source))?;
        Ok((outcome.is_hit(), outcome.is_stale, source))
    }

    /// Notes that the entry that was found can't be decoded.
    fn undecodable(&self) {
        self.trace.undecodable();
    }
}

/// Collects the tags of the values that a load is made of.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct InheritedTags(pub(crate) cache::InheritedTags);
