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
use crate::store::begin;
use crate::sync::lock;

/// Keys whose right to fill was taken over. Left alone, they are invalidated.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Write {
    claim: Mutex<Option<Claim>>,
    /// Keeps the lease alive.
    renewal: Background,
    keys: Vec<WireKey>,
    cache: Arc<Inner>,
    ttl: Ttl,
}

impl Write {
    pub(crate) fn begin(
        py: Python<'_>,
        claim: Claim,
        keys: Vec<WireKey>,
        cache: Arc<Inner>,
        ttl: Ttl,
    ) -> PyResult<Self> {
        let renewal = Driver::background(py, claim.keep_alive())?;
        Ok(Self { claim: Mutex::new(Some(claim)), renewal, keys, cache, ttl })
    }

    fn take(&self) -> PyResult<Claim> {
        self.renewal.end();
        lock(&self.claim).take().ok_or_else(|| wrong("the write has ended already"))
    }
}

#[pymethods]
impl Write {
    /// Stores what was written, a value for each key in their order, and removes the entry
    /// of a key whose value is `None`, or missing; says whether all stand.
    fn settle<'py>(
        &self,
        py: Python<'py>,
        values: Vec<Option<Vec<u8>>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (claim, cache) = (self.take()?, Arc::clone(&self.cache));
        let state = cache.shared.state();
        let enabled = cache.shared.is_enabled();
        let fill = |(key, value): (&WireKey, Option<Vec<u8>>)| {
            let value = cache.storable(value.filter(|_| enabled)?.into()).ok()?;
            let ttl = cache.jitter.apply(self.ttl, state.engine.runtime());
            Some((key.clone(), (value, ttl)))
        };
        let values: BTreeMap<_, _> = self.keys.iter().zip(values).filter_map(fill).collect();
        begin(py, async move {
            let settled = claim.store(values).await;
            let stands = cache.counted(settled).map(|settled| settled == Settled::Stored);
            outcome(move |py| {
                let stands = stands.map_err(|error| exception(&error))?;
                Ok(stands.into_pyobject(py)?.to_owned().into_any().unbind())
            })
        })
    }

    /// Ends the write: the entry is removed in the background.
    pub(crate) fn abandon(&self) {
        let claim = lock(&self.claim).take();
        self.renewal.end_with(claim);
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        self.abandon();
    }
}
