//! A backend for tests of applications.

use std::sync::Arc;

use hotshelf_core::backend::Operation;
use hotshelf_core::{ErrorKind, Runtime};
use hotshelf_memory::testing::{Fault, ScriptedBackend, SimulatedTime};
use pyo3::prelude::*;

use crate::arguments::duration;
use crate::errors::value_error;
use crate::runtime::LoopRuntime;

/// A backend in memory whose time is simulated, and whose operations fail on demand.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct TestBackend {
    pub(crate) backend: Arc<ScriptedBackend>,
    pub(crate) time: Arc<SimulatedTime<LoopRuntime>>,
}

#[pymethods]
impl TestBackend {
    /// Creates an empty backend without failures.
    #[new]
    fn new() -> Self {
        let time = Arc::new(SimulatedTime::new(LoopRuntime));
        let runtime: Arc<dyn Runtime> = Arc::clone(&time) as _;
        Self { backend: Arc::new(ScriptedBackend::new(runtime)), time }
    }

    /// Advances the time of entries and leases by seconds.
    fn advance(&self, seconds: f64) -> PyResult<()> {
        self.time.advance(duration(seconds)?);
        Ok(())
    }

    /// Lets operations of some groups fail: `reads`, `stores`, `invalidations`. With `executed` they
    /// are executed, and their answers are lost. Without groups none fails.
    fn fail(&self, groups: Vec<String>, error: &str, executed: bool) -> PyResult<()> {
        let kind = match error {
            "unavailable" => ErrorKind::Unavailable,
            "timeout" => ErrorKind::Timeout,
            "out of memory" => ErrorKind::OutOfMemory,
            _ => return Err(value_error("unknown kind of error")),
        };
        let fault = if executed { Fault::LoseAnswer(kind) } else { Fault::Fail(kind) };
        self.backend.inject(move |operation| {
            let group = group_of(operation);
            groups.iter().any(|it| it == group).then_some(fault)
        });
        Ok(())
    }
}

fn group_of(operation: &Operation<'_>) -> &'static str {
    match operation {
        Operation::Take(_) | Operation::Store(_) | Operation::Retrail(_) => "stores",
        Operation::Capture(_) | Operation::CaptureWithAge(_) => "stores",
        Operation::Invalidate(_) | Operation::InvalidateTags(_) => "invalidations",
        Operation::InvalidateMatching(_) | Operation::Hold(_) => "invalidations",
        _ => "reads",
    }
}
