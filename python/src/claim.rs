//! Writing to the source of truth and to the cache as one.

use std::sync::{Arc, Mutex};

use hotshelf_core::Ttl;
use hotshelf_core::engine::{Claim, Settled};
use pyo3::prelude::*;

use crate::cache::Inner;
use crate::errors::{exception, wrong};
use crate::pending::outcome;
use crate::store::{begin, lock};

/// A key whose right to fill was taken over. Left alone, it is invalidated.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Write {
    claim: Mutex<Option<Claim>>,
    cache: Arc<Inner>,
    ttl: Ttl,
}

impl Write {
    pub(crate) fn new(claim: Claim, cache: Arc<Inner>, ttl: Ttl) -> Self {
        Self { claim: Mutex::new(Some(claim)), cache, ttl }
    }

    fn take(&self) -> PyResult<Claim> {
        lock(&self.claim).take().ok_or_else(|| wrong("the write has ended already"))
    }
}

#[pymethods]
impl Write {
    /// Stores what was written, or with `None` removes the entry; says whether it stands.
    #[pyo3(signature = (value=None))]
    fn settle<'py>(&self, py: Python<'py>, value: Option<Vec<u8>>) -> PyResult<Bound<'py, PyAny>> {
        let (claim, cache) = (self.take()?, Arc::clone(&self.cache));
        let ttl = cache.jitter.apply(self.ttl, cache.shared.state().engine.runtime());
        let enabled = cache.shared.is_enabled();
        begin(py, async move {
            let value = value.filter(|_| enabled).map(|value| cache.storable(value.into()));
            let settled = match value {
                Some(Ok(value)) => claim.store(value, ttl).await,
                Some(Err(_)) | None => claim.invalidate().await,
            };
            let stands = cache.counted(settled).map(|settled| settled == Settled::Stored);
            outcome(move |py| {
                let stands = stands.map_err(|error| exception(&error))?;
                Ok(stands.into_pyobject(py)?.to_owned().into_any().unbind())
            })
        })
    }
}
