//! A cache of bytes, which Python code encodes and decodes.

use std::any::TypeId;
use std::borrow::Cow;
use std::sync::Arc;

use hotshelf_core::cache::{
    ByteCache, CacheDefinition, CacheOptions, CallOptions, EntryKey, Foreign, Loaded, Mode,
    NegativeTtl, ReadOutcome, RefreshMode, ValueKind,
};
use hotshelf_core::codec::Opaque;
use hotshelf_core::{Error, ErrorKind, Jitter, Namespace, Remaining};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::arguments::{self, KeyArguments};
use crate::convert;
use crate::errors::{backing_off, exception, load_timed_out};
use crate::host::{Here, begin};
use crate::load_many::ManyLoad;
use crate::pending::outcome;
use crate::refresh::Refresh;
use crate::store::{Generation, Shared, Store};
use crate::ticket::{Failed, Failure, Ticket};
use crate::trace::{InheritedTags, Trace};
use crate::value::{Form, PyCodec, PyValue, missing, to_python};
use crate::{log, write_guard};

/// A view of the entries of one namespace.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Cache {
    shared: Arc<Shared>,
    /// The cache on the backend that the store had at first.
    cache: ByteCache,
    generation: Generation,
    /// The number of the codec that decodes values for this view.
    codec: u64,
}

/// A value to insert: its key, its encoded form, or the reason why it has none.
type Insert<'py> = (KeyArguments<'py>, Option<Vec<u8>>, Option<String>);

#[pymethods]
impl Cache {
    /// Creates a view. Views of the same name share their flights and counters.
    #[new]
    #[pyo3(signature = (store, name, *, prefix, version, kind, format, keeps_objects, ttl,
                        jitter, negative_ttl, foreign, strict_plain, epoch, key_layout,
                        wait_timeout, backend_budget, max_waiters, max_value_bytes, near,
                        stale_while_revalidate, stale_if_error, error_throttle, early_refresh,
                        soft_timeout, hard_timeout, error_backoff, hold, plain_readers))]
    #[expect(clippy::too_many_arguments, reason = "each is an option, named by its caller")]
    fn new(
        store: &Store,
        name: String,
        prefix: String,
        version: Option<String>,
        kind: String,
        format: String,
        keeps_objects: bool,
        ttl: f64,
        jitter: f64,
        negative_ttl: Option<f64>,
        foreign: bool,
        strict_plain: bool,
        epoch: bool,
        key_layout: &str,
        wait_timeout: f64,
        backend_budget: f64,
        max_waiters: &Bound<'_, PyAny>,
        max_value_bytes: &Bound<'_, PyAny>,
        near: bool,
        stale_while_revalidate: f64,
        stale_if_error: f64,
        error_throttle: f64,
        early_refresh: f64,
        soft_timeout: Option<f64>,
        hard_timeout: Option<f64>,
        error_backoff: f64,
        hold: f64,
        plain_readers: bool,
    ) -> PyResult<Self> {
        let layout = arguments::layout(key_layout)?;
        let namespace = Namespace::new(name).prefix(prefix).layout(layout);
        let namespace = match version {
            Some(version) => namespace.version(version),
            None => namespace.without_version(),
        };
        let options = CacheOptions {
            time_to_live: arguments::duration(ttl)?,
            jitter: Jitter::ratio(jitter).map_err(|error| exception(&error))?,
            negative_ttl: match negative_ttl {
                None => NegativeTtl::SameAsValues,
                Some(0.0) => NegativeTtl::Off,
                Some(seconds) => NegativeTtl::For(arguments::duration(seconds)?),
            },
            wait_timeout: arguments::duration(wait_timeout)?,
            backend_budget: arguments::duration(backend_budget)?,
            max_waiters: arguments::count("max_waiters", max_waiters)?,
            max_value_bytes: arguments::count("max_value_bytes", max_value_bytes)?,
            foreign: if foreign { Foreign::Accept } else { Foreign::Reject },
            strict_plain,
            epoch,
            near,
            stale_while_revalidate: arguments::duration(stale_while_revalidate)?,
            stale_if_error: arguments::duration(stale_if_error)?,
            error_throttle: arguments::duration(error_throttle)?,
            early_refresh,
            soft_timeout: soft_timeout.map(arguments::duration).transpose()?,
            hard_timeout: hard_timeout.map(arguments::duration).transpose()?,
            error_backoff: arguments::duration(error_backoff)?,
            hold: arguments::duration(hold)?,
            plain_readers,
        };
        let definition = CacheDefinition {
            namespace,
            kind: ValueKind::named(kind),
            options,
            codec: Arc::new(PyCodec { format, keeps_objects }),
            tag_rule: None,
        };
        let shared = Arc::clone(&store.shared);
        let state = shared.state();
        let generation = shared.generation();
        let cache = state.store.view(definition).map_err(|error| exception(&error))?;
        Ok(Self { shared, cache, generation, codec: 0 })
    }

    /// Returns the same view for values that a codec of this number decodes.
    fn decoded_by(&self, codec: u64) -> Self {
        let (shared, cache) = (Arc::clone(&self.shared), self.cache.clone());
        Self { shared, cache, generation: self.generation, codec }
    }

    /// Returns the exact key of an entry.
    #[pyo3(signature = (identifier, params=None))]
    fn key(
        &self,
        identifier: &Bound<'_, PyAny>,
        params: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<String> {
        let key = arguments::any_key(&self.cache, identifier, params)?;
        let key = key.map_err(|error| exception(&error))?;
        Ok(self.cache.wire_key(&key).as_str().to_owned())
    }

    /// Reads an entry: bytes, `None` for a cached negative, a [`Missing`] for a miss. From the
    /// memory of this process, the decoded value or an [`Encoded`] instead of bytes.
    #[pyo3(signature = (identifier, params=None, after=None, trace=None, tags_into=None))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        identifier: &Bound<'py, PyAny>,
        params: Option<&Bound<'py, PyAny>>,
        after: Option<&Bound<'py, PyAny>>,
        trace: Option<&Trace>,
        tags_into: Option<&InheritedTags>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let cache = self.here();
        let key = arguments::key(&cache, identifier, params)?;
        let options = CallOptions::default().takes_absent(true);
        let options = observed(options.after(arguments::token(&cache, after)), trace, tags_into);
        if let Some(value) = self.read_now(py, &cache, &key, &options)? {
            return Ok(value);
        }
        let (form, cache) = (self.form(&cache), cache.into_owned());
        begin(py, async move {
            let read = cache.read_as(key, &options).await;
            outcome(move |py| found(py, read.map_err(|error| exception(&error))?, form))
        })
    }

    /// Returns the decoded value or an [`Encoded`] from the memory of this process, `None` for a
    /// cached negative, a [`Missing`] if there is nothing.
    fn peek<'py>(&self, identifier: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (py, cache) = (identifier.py(), self.here());
        if cache.is_local()
            && let Ok(key) = arguments::any_key(&cache, identifier, None)?
        {
            let options = CallOptions::default().takes_absent(true);
            let key = Ok(cache.key(&key));
            if let Some(value) = self.read_now(py, &cache, &key, &options)? {
                return Ok(value);
            }
        }
        Ok(missing(py)?.into_bound(py))
    }

    /// Reads many entries, in the order of their keys.
    fn read_many<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<KeyArguments<'py>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let cache = self.attached();
        let keys = arguments::keys(&cache, &keys)?;
        let form = self.form(&cache);
        begin(py, async move {
            let read = cache.read_many(keys).await;
            outcome(move |py| {
                let read = read.map_err(|error| exception(&error))?;
                let values = read.into_iter().map(|one| found(py, one, form));
                let values: PyResult<Vec<_>> = values.collect();
                Ok(PyList::new(py, values?)?.into_any().unbind())
            })
        })
    }

    /// Reads an entry, or returns a ticket to load it: the same as `read`, a [`Ticket`], or the
    /// unencodable value or the exception of another caller's factory. With `background`, also a
    /// [`Refresh`]. With `encoded`, an entry is bytes wherever it is.
    #[pyo3(signature = (identifier, params=None, tags=None, ttl=None, negative_ttl=None,
                        mode="use", nested=false, after=None, encoded=false, background=false,
                        trace=None, tags_into=None))]
    #[expect(clippy::too_many_arguments, reason = "each is an option of the call")]
    fn load<'py>(
        &self,
        py: Python<'py>,
        identifier: &Bound<'py, PyAny>,
        params: Option<&Bound<'py, PyAny>>,
        tags: Option<&Bound<'py, PyAny>>,
        ttl: Option<&Bound<'py, PyAny>>,
        negative_ttl: Option<&Bound<'py, PyAny>>,
        mode: &str,
        nested: bool,
        after: Option<&Bound<'py, PyAny>>,
        encoded: bool,
        background: bool,
        trace: Option<&Trace>,
        tags_into: Option<&InheritedTags>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let cache = self.here();
        let key = arguments::key(&cache, identifier, params)?;
        let options = arguments::load_options(&cache, tags, ttl, negative_ttl, mode, after)?;
        let mut options = observed(options.nested(nested), trace, tags_into);
        if background {
            options = options.refresh(RefreshMode::Background);
        }
        if !encoded && let Some(value) = self.read_now(py, &cache, &key, &options)? {
            return Ok(value);
        }
        let form = if encoded { Form::Encoded } else { self.form(&cache) };
        let cache = cache.into_owned();
        let here = Here::find(py)?;
        if here.is_nothing() {
            // The caller loads by itself, which needs no backend.
            options = options.mode(Mode::OwnKey);
        }
        here.begin(py, async move {
            let loaded = cache.load(key, options, TypeId::of::<Failure>()).await;
            outcome(move |py| match loaded {
                Loaded::Value(value) => to_python(py, value, form),
                Loaded::Failed(error) => Failed::of(py, &error),
                Loaded::Refresh(value, refresh) => {
                    Ok(Py::new(py, Refresh::new(value, *refresh, form))?.into_any())
                }
                Loaded::BackingOff(left) => Err(backing_off(left)),
                Loaded::TimedOut => Err(load_timed_out()),
                Loaded::Lead(ticket) => Ok(Ticket::begin(py, *ticket, form)?.into_any()),
            })
        })
    }

    /// Reads many entries, or returns the right to load those that are missing: a [`ManyLoad`].
    /// Keys at the positions in `own` are those that the caller is computing: it loads them, and
    /// doesn't store them.
    #[pyo3(signature = (keys, own, *, tags=None, ttl=None, negative_ttl=None, mode="use",
                        nested=false, after=None))]
    #[expect(clippy::too_many_arguments, reason = "each is an option of the call")]
    fn load_many<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<KeyArguments<'py>>,
        own: Vec<usize>,
        tags: Option<&Bound<'py, PyAny>>,
        ttl: Option<&Bound<'py, PyAny>>,
        negative_ttl: Option<&Bound<'py, PyAny>>,
        mode: &str,
        nested: bool,
        after: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let cache = self.attached();
        let mut keys = arguments::keys(&cache, &keys)?;
        for position in own {
            if let Some(key) = keys.get_mut(position) {
                *key = Err(Error::new(ErrorKind::Key, "the caller is computing the key"));
            }
        }
        let options = arguments::load_options(&cache, tags, ttl, negative_ttl, mode, after)?;
        let options = options.nested(nested);
        let form = self.form(&cache);
        let here = Here::find(py)?;
        let options = if here.is_nothing() { options.mode(Mode::Bypass) } else { options };
        here.begin(py, async move {
            let load = cache.load_many(keys, options, TypeId::of::<Failure>()).await;
            ManyLoad::next(load, form).await
        })
    }

    /// Inserts values, and returns whether all of them were stored.
    #[pyo3(signature = (values, *, ttl=None, tags=None))]
    fn insert<'py>(
        &self,
        py: Python<'py>,
        values: Vec<Insert<'py>>,
        ttl: Option<&Bound<'py, PyAny>>,
        tags: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let cache = self.attached();
        let options = arguments::options(ttl, tags)?;
        let value = |((identifier, params), raw, reason): Insert<'py>| {
            let key = arguments::key(&cache, &identifier, params.as_ref())?;
            Ok((key, PyValue::new(py.None(), raw, reason)))
        };
        let values = values.into_iter().map(value).collect::<PyResult<Vec<_>>>()?;
        let opaque = values.iter().map(|(key, value)| (key.clone(), value as &Opaque));
        let inserts = cache.insert(opaque, &options);
        begin(py, async move {
            let stored = inserts.send().await;
            outcome(move |py| boolean(py, stored))
        })
    }

    /// Takes keys over before a write to the source of truth.
    #[pyo3(signature = (keys, *, ttl=None, tags=None))]
    fn write_guard<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<KeyArguments<'py>>,
        ttl: Option<&Bound<'py, PyAny>>,
        tags: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let cache = self.attached();
        let keys = arguments::keys(&cache, &keys)?;
        let options = arguments::options(ttl, tags)?;
        begin(py, async move {
            let guard = cache.write_guard(keys, options).await;
            outcome(move |py| {
                Ok(Py::new(py, write_guard::PyWriteGuard::begin(py, guard)?)?.into_any())
            })
        })
    }

    /// Returns what is known of a key, and what a call with these tags would find; and its text.
    #[pyo3(signature = (identifier, params=None, tags=None))]
    fn explain<'py>(
        &self,
        py: Python<'py>,
        identifier: &Bound<'py, PyAny>,
        params: Option<&Bound<'py, PyAny>>,
        tags: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let cache = self.attached();
        let key = arguments::key(&cache, identifier, params)?;
        let options = arguments::options(None, tags)?.takes_absent(true);
        begin(py, async move {
            let explained = cache.explain(key, &options).await;
            outcome(move |py| {
                let explained = explained.map_err(|error| exception(&error))?;
                let fields = convert::serialized(py, serde_json::to_value(&explained))?;
                Ok((fields, explained.to_string()).into_pyobject(py)?.into_any().unbind())
            })
        })
    }

    /// Removes entries, and returns the number of entries and leases that existed.
    fn invalidate<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<KeyArguments<'py>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let cache = self.attached();
        let keys = arguments::keys(&cache, &keys)?;
        begin(py, async move {
            let removed = cache.invalidate(keys).await;
            outcome(move |py| number(py, removed))
        })
    }

    /// Makes the value of an entry stale, and returns whether there was one.
    #[pyo3(signature = (identifier, params=None))]
    fn expire<'py>(
        &self,
        py: Python<'py>,
        identifier: &Bound<'py, PyAny>,
        params: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let cache = self.attached();
        let key = arguments::key(&cache, identifier, params)?;
        begin(py, async move {
            let expired = cache.expire(key).await;
            outcome(move |py| boolean(py, expired))
        })
    }

    /// Removes all entries whose identifier matches a pattern, and returns their number. The
    /// pattern must begin with a literal part, unless `anywhere` is set.
    #[pyo3(signature = (pattern, anywhere=false))]
    fn invalidate_pattern<'py>(
        &self,
        py: Python<'py>,
        pattern: &Bound<'py, PyAny>,
        anywhere: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let cache = self.attached();
        let pattern = arguments::text(pattern)?;
        begin(py, async move {
            let removed = cache.invalidate_pattern(pattern, anywhere).await;
            outcome(move |py| number(py, removed))
        })
    }

    /// Removes all entries, and returns their number.
    fn invalidate_all<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let cache = self.attached();
        begin(py, async move {
            let removed = cache.invalidate_all().await;
            outcome(move |py| number(py, removed))
        })
    }

    /// Returns the remaining lifetime of an entry in milliseconds: -1 if it never expires, -2
    /// if there is no valid entry.
    #[pyo3(signature = (identifier, params=None))]
    fn remaining<'py>(
        &self,
        py: Python<'py>,
        identifier: &Bound<'py, PyAny>,
        params: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let cache = self.attached();
        let key = arguments::key(&cache, identifier, params)?;
        begin(py, async move {
            let remaining = cache.remaining(key, &CallOptions::default()).await;
            outcome(move |py| {
                let millis = match remaining.map_err(|error| exception(&error))? {
                    Remaining::Missing => -2,
                    Remaining::Persistent => -1,
                    Remaining::After(left) => i64::try_from(left.as_millis()).unwrap_or(i64::MAX),
                };
                Ok(millis.into_pyobject(py)?.into_any().unbind())
            })
        })
    }

    /// Returns the counters of the cache.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        convert::stats(py, &self.cache.stats())
    }

    /// Counts an entry that could not be decoded, and logs the first one.
    fn undecodable(&self, py: Python<'_>, reason: String) {
        self.cache.undecodable(&Error::new(ErrorKind::Decode, reason));
        log::flush(py);
    }
}

impl Cache {
    /// Reads what is in the memory of this process.
    fn read_now<'py>(
        &self,
        py: Python<'py>,
        cache: &ByteCache,
        key: &Result<EntryKey, Error>,
        options: &CallOptions,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let value = key.as_ref().ok().and_then(|key| cache.read_now(key, options));
        let value = value.map(|value| to_python(py, value, Form::Decoded(self.codec)));
        Ok(value.transpose()?.map(|value| value.into_bound(py)))
    }

    /// Returns the form of values that a reader takes: objects are kept where entries are.
    fn form(&self, cache: &ByteCache) -> Form {
        if cache.is_local() { Form::Decoded(self.codec) } else { Form::Encoded }
    }

    /// Returns the cache on the backend of this process: nearly always that which it was created on.
    #[inline]
    fn here(&self) -> Cow<'_, ByteCache> {
        match self.shared.is_now(self.generation) {
            true => Cow::Borrowed(&self.cache),
            false => Cow::Owned(self.shared.state().store.attach(&self.cache)),
        }
    }

    /// Returns the same for an operation that outlives the call.
    fn attached(&self) -> ByteCache {
        self.here().into_owned()
    }
}

fn found(py: Python<'_>, outcome: ReadOutcome, form: Form) -> PyResult<Py<PyAny>> {
    match outcome {
        ReadOutcome::Hit(value) => to_python(py, value, form),
        // Only calls that can load it anew get a stale value.
        ReadOutcome::Stale(_) | ReadOutcome::Miss(_) => missing(py),
    }
}

/// Adds what collects where a value comes from, and its tags.
fn observed(
    mut options: CallOptions,
    trace: Option<&Trace>,
    tags_into: Option<&InheritedTags>,
) -> CallOptions {
    if let Some(collected) = trace {
        options = options.traced(collected.trace.clone());
    }
    match tags_into {
        Some(outer) => options.pass_tags_into(outer.0.clone()),
        None => options,
    }
}

fn number(py: Python<'_>, count: Result<u64, Error>) -> PyResult<Py<PyAny>> {
    let count = count.map_err(|error| exception(&error))?;
    Ok(count.into_pyobject(py)?.into_any().unbind())
}

pub(crate) fn boolean(py: Python<'_>, yes: Result<bool, Error>) -> PyResult<Py<PyAny>> {
    let yes = yes.map_err(|error| exception(&error))?;
    Ok(yes.into_pyobject(py)?.to_owned().into_any().unbind())
}
