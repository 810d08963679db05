//! A cache of bytes: what they mean is Python's matter.

mod inner;

use std::sync::Arc;

use hotshelf_core::backend::Stored;
use hotshelf_core::engine::{BATCH, Claim, Foreign, Format, Found, Insert};
use hotshelf_core::tag::{TagId, Tags};
use hotshelf_core::{
    Counter, Error, ErrorKind, Jitter, KeyLayout, Namespace, Pattern, Remaining, Ttl, WireKey,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::convert;
use crate::errors::exception;
use crate::pending::{Outcome, outcome};
use crate::store::{Store, begin, duration};
use crate::ticket::{Failed, Ticket};
pub(crate) use inner::{Inner, Shareable};
use inner::{Load, Loaded};

/// A view of the entries of one namespace.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Cache {
    inner: Arc<Inner>,
}

#[pymethods]
impl Cache {
    /// Makes a view. Views of the same name share flights and counters.
    #[new]
    #[pyo3(signature = (store, name, *, prefix, version, kind, ttl, jitter, foreign,
                        strict_plain, epoch, layout, wait_timeout, backend_budget, max_value_bytes))]
    #[expect(clippy::too_many_arguments, reason = "each is an option, named by its caller")]
    fn new(
        store: &Store,
        name: String,
        prefix: String,
        version: Option<String>,
        kind: &str,
        ttl: f64,
        jitter: f64,
        foreign: bool,
        strict_plain: bool,
        epoch: bool,
        layout: u8,
        wait_timeout: f64,
        backend_budget: f64,
        max_value_bytes: usize,
    ) -> PyResult<Self> {
        let known = format!("{prefix}:{}:{name} of {kind}", version.as_deref().unwrap_or("-"));
        let namespace = Namespace::new(name).prefix(prefix).layout(convert::layout(layout)?);
        let namespace = match version {
            Some(version) => namespace.version(version),
            None => namespace.without_version(),
        };
        let ttl = duration(ttl)?;
        let made = || {
            let stem = namespace.stem()?;
            let none = Tags::none(namespace.prefix_name().into());
            let tags = if epoch { none.with([TagId::of_epoch(&stem)])? } else { none };
            Ok::<_, Error>((stem, tags, Ttl::new(ttl)?, Jitter::ratio(jitter)?))
        };
        let (stem, tags, ttl, jitter) = made().map_err(|error| exception(&error))?;
        let foreign = if foreign { Foreign::Accept } else { Foreign::Reject };
        let format = if strict_plain { Format::Plain } else { Format::Trailer(foreign) };
        if strict_plain && epoch {
            let text = "plain entries carry no epoch: leave `epoch` or `strict_plain` out";
            return Err(exception(&Error::new(ErrorKind::Configuration, text)));
        }
        let (number, stats) = store.shared.cache(known);
        let shared = Arc::clone(&store.shared);
        let (wait_timeout, backend_budget) = (duration(wait_timeout)?, duration(backend_budget)?);
        let inner = Inner {
            shared,
            number,
            namespace,
            stem,
            tags,
            ttl,
            jitter,
            format,
            wait_timeout,
            backend_budget,
            max_value_bytes,
            stats,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The exact key of an entry.
    #[pyo3(signature = (identifier, params=None))]
    fn key(&self, identifier: &str, params: Option<String>) -> PyResult<String> {
        Ok(self.inner.key(identifier, params)?.as_str().to_owned())
    }

    /// Reads: bytes, `False` for a value that is known not to exist, `None` for nothing.
    #[pyo3(signature = (identifier, params=None))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        identifier: &str,
        params: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let inner = Arc::clone(&self.inner);
        if !inner.shared.is_enabled() {
            return Ok(py.None().into_bound(py));
        }
        let (key, state) = (inner.key(identifier, params)?, inner.shared.state());
        begin(py, async move {
            let found = inner.read(&state, &key, &inner.tags).await;
            found_outcome(found)
        })
    }

    /// Reads many.
    fn read_many<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<(String, Option<String>)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let inner = Arc::clone(&self.inner);
        if !inner.shared.is_enabled() {
            return Ok(PyList::new(py, keys.iter().map(|_| py.None()))?.into_any());
        }
        let keys = inner.keys(keys)?;
        let state = inner.shared.state();
        begin(py, async move {
            let mut all = Vec::with_capacity(keys.len());
            for batch in keys.chunks(BATCH) {
                let found = state.engine.read_many(batch, inner.view(&inner.tags)).await;
                match inner.counted(found) {
                    Ok(found) => all.extend(found),
                    Err(error) => return outcome(move |_| Err(exception(&error))),
                }
            }
            let hits = all.iter().filter(|found| matches!(found, Found::Entry { .. })).count();
            inner.stats.add(Counter::Hit, hits as u64);
            inner.stats.add(Counter::Miss, (all.len() - hits) as u64);
            outcome(move |py| {
                let values = all.into_iter().map(|found| convert::found(py, found));
                Ok(PyList::new(py, values)?.into_any().unbind())
            })
        })
    }

    /// Reads, or gives the right and the duty to load: bytes, `False`, a ticket, or what
    /// another caller's factory has given that can't be stored, or raised. `None` while the
    /// caches are off.
    #[pyo3(signature = (identifier, params=None, tags=None, ttl=None, reload=false))]
    fn load<'py>(
        &self,
        py: Python<'py>,
        identifier: &str,
        params: Option<String>,
        tags: Option<Vec<String>>,
        ttl: Option<f64>,
        reload: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let inner = Arc::clone(&self.inner);
        if !inner.shared.is_enabled() {
            inner.stats.count(Counter::Load);
            return Ok(py.None().into_bound(py));
        }
        let load = Load {
            key: inner.key(identifier, params)?,
            tags: inner.tags(&tags.unwrap_or_default())?,
            keep: Inner::keep(inner.ttl(ttl)?),
            reload,
        };
        let state = inner.shared.state();
        begin(py, async move {
            let loaded = inner.load(&state, load).await;
            outcome(move |py| match loaded {
                Loaded::Value(value) => Ok(PyBytes::new(py, &value).into_any().unbind()),
                Loaded::Absent => Ok(convert::absent(py)),
                Loaded::Ticket(ticket) => {
                    let ticket = Ticket::begin(py, ticket, inner)?;
                    Ok(ticket.into_any())
                }
                Loaded::Shared(shared) => shared.for_caller(py),
                Loaded::Failed(error) => Failed::of(py, &error),
            })
        })
    }

    /// Writes values, and says whether all of them stand; see the docs of the engine's
    /// `insert` for what that is good for.
    #[pyo3(signature = (entries, *, ttl=None, tags=Vec::new()))]
    fn insert<'py>(
        &self,
        py: Python<'py>,
        entries: Vec<(String, Option<String>, Vec<u8>)>,
        ttl: Option<f64>,
        tags: Vec<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let inner = Arc::clone(&self.inner);
        let (ttl, tags, state) = (inner.ttl(ttl)?, inner.tags(&tags)?, inner.shared.state());
        let enabled = inner.shared.is_enabled();
        let (mut inserts, mut outdated, mut trouble) = (Vec::new(), Vec::new(), None);
        for (identifier, params, value) in entries {
            let key = inner.key(&identifier, params)?;
            match inner.storable(value.into()) {
                Ok(value) if enabled => {
                    let ttl = inner.jitter.apply(ttl, state.engine.runtime());
                    inserts.push(Insert { key, value, ttl });
                }
                Ok(_) => outdated.push(key),
                Err(error) => {
                    // What can't be stored has made the entry outdated all the same.
                    trouble.get_or_insert(error);
                    outdated.push(key);
                }
            }
        }
        begin(py, async move {
            let mut answer = trouble.map_or(Ok(outdated.is_empty()), Err);
            if !outdated.is_empty() {
                let removed = inner.counted(state.engine.invalidate(outdated).await);
                answer = answer.and_then(|all| removed.map(|_| all));
            }
            while !inserts.is_empty() {
                let rest = inserts.split_off(inserts.len().min(BATCH));
                let writing = inner.writing(tags.clone(), ttl);
                for stored in state.engine.insert(inserts, writing).await {
                    let stands = inner.counted(stored).map(|stored| stored == Stored::Stored);
                    if let Ok(false) = stands {
                        inner.stats.count(Counter::Refused);
                    }
                    answer = answer.and_then(|all| stands.map(|stands| all && stands));
                }
                inserts = rest;
            }
            outcome(move |py| {
                let all = answer.map_err(|error| exception(&error))?;
                Ok(all.into_pyobject(py)?.to_owned().into_any().unbind())
            })
        })
    }

    /// Takes the right to fill keys over, before the source of truth is written.
    #[pyo3(signature = (keys, *, ttl=None, tags=Vec::new()))]
    fn claim<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<(String, Option<String>)>,
        ttl: Option<f64>,
        tags: Vec<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let inner = Arc::clone(&self.inner);
        let (keys, ttl) = (inner.keys(keys)?, inner.ttl(ttl)?);
        let (writing, state) = (inner.writing(inner.tags(&tags)?, ttl), inner.shared.state());
        begin(py, async move {
            let claim: Claim = state.engine.claim(keys.iter().cloned().collect(), writing).await;
            outcome(move |py| {
                let claim = crate::claim::Write::begin(py, claim, keys, inner, ttl);
                Ok(Py::new(py, claim?)?.into_any())
            })
        })
    }

    /// Removes entries, and says how many entries and leases there were.
    fn invalidate<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<(String, Option<String>)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let inner = Arc::clone(&self.inner);
        let (keys, state) = (inner.keys(keys)?, inner.shared.state());
        begin(py, async move { count_outcome(inner.counted(state.engine.invalidate(keys).await)) })
    }

    /// Removes all entries whose identifier matches a pattern. It begins with a literal
    /// part, unless it may match `anywhere`.
    #[pyo3(signature = (pattern, anywhere=false))]
    fn invalidate_pattern<'py>(
        &self,
        py: Python<'py>,
        pattern: &str,
        anywhere: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let inner = Arc::clone(&self.inner);
        let pattern = match (anywhere, inner.namespace.layout_in_use()) {
            (true, KeyLayout::V1) => {
                Ok(Pattern::new(format!("{}{pattern}", Pattern::escape(&inner.stem))))
            }
            _ => inner.namespace.pattern(&inner.stem, pattern),
        };
        let pattern = inner.counted(pattern).map_err(|error| exception(&error))?;
        inner.invalidate_matching(py, pattern)
    }

    /// Removes all entries: by their epoch, or by a walk.
    fn invalidate_all<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let inner = Arc::clone(&self.inner);
        if inner.tags.keys().is_empty() {
            let all = Pattern::new(format!("{}*", Pattern::escape(&inner.stem)));
            return inner.invalidate_matching(py, all);
        }
        let state = inner.shared.state();
        begin(py, async move {
            let epoch = inner.tags.keys().to_vec();
            let forgotten = inner.counted(state.engine.invalidate_tags(epoch).await);
            count_outcome(forgotten.map(|()| 0))
        })
    }

    /// Milliseconds that an entry still lives: -1 for ever, -2 for nothing.
    #[pyo3(signature = (identifier, params=None))]
    fn remaining<'py>(
        &self,
        py: Python<'py>,
        identifier: &str,
        params: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let inner = Arc::clone(&self.inner);
        let (key, state) = (inner.key(identifier, params)?, inner.shared.state());
        begin(py, async move {
            let remaining = inner.counted(state.engine.backend().remaining(&key).await);
            let millis = remaining.map(|remaining| match remaining {
                Remaining::Missing => -2,
                Remaining::Persistent => -1,
                Remaining::After(left) => i64::try_from(left.as_millis()).unwrap_or(i64::MAX),
            });
            outcome(move |py| {
                let millis = millis.map_err(|error| exception(&error))?;
                Ok(millis.into_pyobject(py)?.into_any().unbind())
            })
        })
    }

    /// What the cache has counted.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        convert::stats(py, &self.inner.stats.read())
    }

    /// Counts an entry that is no value of the cache: corrupt, or of another model.
    fn count_foreign(&self) {
        self.inner.stats.count(Counter::Foreign);
    }

    /// Counts a value that can't be stored.
    fn count_unstorable(&self) {
        self.inner.stats.count(Counter::Unstorable);
    }

    /// Counts trouble that Python has seen itself.
    fn count_error(&self) {
        self.inner.stats.count(Counter::Error);
    }

    /// Counts a load that didn't wait for another one of its key.
    fn count_degraded(&self) {
        self.inner.stats.count(Counter::Degraded);
    }

    /// Refuses a lifetime that is none.
    fn check_lifetime(&self, seconds: f64) -> PyResult<()> {
        self.inner.ttl(Some(seconds)).map(drop)
    }
}

impl Inner {
    fn keys(&self, keys: Vec<(String, Option<String>)>) -> PyResult<Vec<WireKey>> {
        keys.into_iter().map(|(identifier, params)| self.key(&identifier, params)).collect()
    }

    fn invalidate_matching<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        pattern: Pattern,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (inner, state) = (Arc::clone(self), self.shared.state());
        begin(py, async move {
            count_outcome(inner.counted(state.engine.invalidate_matching(pattern).await))
        })
    }
}

fn found_outcome(found: Result<Found, Error>) -> Outcome {
    outcome(move |py| Ok(convert::found(py, found.map_err(|error| exception(&error))?)))
}

fn count_outcome(count: Result<u64, Error>) -> Outcome {
    outcome(move |py| {
        let count = count.map_err(|error| exception(&error))?;
        Ok(count.into_pyobject(py)?.into_any().unbind())
    })
}
