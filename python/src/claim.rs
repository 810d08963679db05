//! Writing to the source of truth and to the cache as one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hotshelf_core::engine::{Claim, Settled};
use hotshelf_core::{Ttl, WireKey};
use pyo3::prelude::*;

use crate::cache::Inner;
use crate::driver::{Background, Driver};
use crate::errors::{exception, wrong};
use crate::pending::outcome;
use crate::store::{begin, lock};

/// A key whose right to fill was taken over. Left alone, it is invalidated.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Write {
    claim: Mutex<Option<Claim>>,
    /// Keeps the lease alive.
    renewal: Background,
    key: WireKey,
    cache: Arc<Inner>,
    ttl: Ttl,
}

impl Write {
    pub(crate) fn begin(
        py: Python<'_>,
        claim: Claim,
        key: WireKey,
        cache: Arc<Inner>,
        ttl: Ttl,
    ) -> PyResult<Self> {
        let renewal = Driver::background(py, claim.keep_alive())?;
        Ok(Self { claim: Mutex::new(Some(claim)), renewal, key, cache, ttl })
    }

    fn take(&self) -> PyResult<Claim> {
        self.renewal.end();
        lock(&self.claim).take().ok_or_else(|| wrong("the write has ended already"))
    }
}

#[pymethods]
impl Write {
    /// Stores what was written, or with `None` removes the entry; says whether it stands.
    #[pyo3(signature = (value=None))]
    fn settle<'py>(&self, py: Python<'py>, value: Option<Vec<u8>>) -> PyResult<Bound<'py, PyAny>> {
        let (claim, cache, key) = (self.take()?, Arc::clone(&self.cache), self.key.clone());
        let ttl = cache.jitter.apply(self.ttl, cache.shared.state().engine.runtime());
        let enabled = cache.shared.is_enabled();
        begin(py, async move {
            let value = value.filter(|_| enabled).map(|value| cache.storable(value.into()));
            let values = value.and_then(Result::ok).map(|value| (key, (value, ttl)));
            let settled = claim.store(BTreeMap::from_iter(values)).await;
            let stands = cache.counted(settled).map(|settled| settled == Settled::Stored);
            outcome(move |py| {
                let stands = stands.map_err(|error| exception(&error))?;
                Ok(stands.into_pyobject(py)?.to_owned().into_any().unbind())
            })
        })
    }
}
