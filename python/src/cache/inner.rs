//! What a cache does by the engine, for bytes that only Python understands.

use std::any::{Any, TypeId};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::Seen;
use hotshelf_core::engine::{
    Acquisition, Call, Format, Found, Identity, Judge, Known, Standing, Value, Verdict, View,
    Writing,
};
use hotshelf_core::tag::{TagId, Tags};
use hotshelf_core::{
    Counter, Error, ErrorKind, Jitter, Key, Namespace, Params, Stats, Ttl, WireKey,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::exception;
use crate::store::{Shared, State, duration};
use crate::ticket::{Failure, Given};

/// What callers of one flight share.
pub(crate) enum Shareable {
    /// A value as it is stored.
    Bytes(Bytes),
    /// The value itself, where it can't be stored.
    Object(Py<PyAny>),
}

/// What all operations of a cache share.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(super) number: u64,
    pub(super) namespace: Namespace,
    pub(super) stem: String,
    pub(super) tags: Tags,
    pub(crate) ttl: Ttl,
    pub(crate) jitter: Jitter,
    pub(crate) format: Format,
    pub(super) wait_timeout: Duration,
    pub(super) backend_budget: Duration,
    pub(crate) max_value_bytes: usize,
    pub(crate) stats: Arc<Stats>,
}

impl Shareable {
    pub(super) fn for_caller(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Bytes(value) => Ok(PyBytes::new(py, value).into_any().unbind()),
            Self::Object(value) => {
                Ok(Py::new(py, Given { value: value.clone_ref(py) })?.into_any())
            }
        }
    }
}

/// Every entry is a value, as far as the engine can tell.
struct AnyBytes;

impl Judge for AnyBytes {
    fn judge(&self, value: &Bytes, absent: bool) -> Verdict {
        Verdict::Hit(match absent {
            true => Value::Absent,
            false => Value::Present(Arc::new(Shareable::Bytes(value.clone()))),
        })
    }
}

/// What a loading call is given.
pub(super) enum Loaded {
    Value(Bytes),
    Shared(Arc<Shareable>),
    Absent,
    Ticket(hotshelf_core::engine::Ticket),
    Failed(Arc<dyn Any + Send + Sync>),
}

impl Inner {
    pub(super) fn key(&self, identifier: &str, params: Option<String>) -> PyResult<WireKey> {
        let key = Key::from(identifier);
        let key = match params {
            Some(text) => key.params(Params::from_canonical(text)),
            None => key,
        };
        let key = self.namespace.wire_key_after(&self.stem, &key);
        self.counted(key).map_err(|error| exception(&error))
    }

    pub(super) fn tags(&self, names: &[String]) -> PyResult<Tags> {
        if names.is_empty() {
            return Ok(self.tags.clone());
        }
        let ids: Result<Vec<TagId>, Error> = names.iter().map(|name| TagId::of(name)).collect();
        let tags = ids.and_then(|ids| match self.format {
            Format::Plain => Err(Error::new(
                ErrorKind::Configuration,
                "plain entries carry no tags: leave `strict_plain` out",
            )),
            Format::Trailer(_) => self.tags.with(ids),
        });
        self.counted(tags).map_err(|error| exception(&error))
    }

    pub(super) fn view<'a>(&self, tags: &'a Tags) -> View<'a> {
        View { tags, exactly: tags.ids() != self.tags.ids(), format: self.format }
    }

    pub(crate) fn ttl(&self, seconds: Option<f64>) -> PyResult<Ttl> {
        match seconds {
            None => Ok(self.ttl),
            Some(seconds) => {
                let ttl = Ttl::new(duration(seconds)?);
                self.counted(ttl).map_err(|error| exception(&error))
            }
        }
    }

    /// No entry outlives it: lifetimes are spread by their own length at most.
    pub(super) fn keep(ttl: Ttl) -> Ttl {
        Ttl::new(ttl.as_duration() * 2).unwrap_or(Ttl::MAX)
    }

    pub(super) fn writing(&self, tags: Tags, ttl: Ttl) -> Writing {
        let stats = Arc::clone(&self.stats);
        Writing { tags, format: self.format, keep: Self::keep(ttl), stats }
    }

    pub(crate) fn counted<V>(&self, result: Result<V, Error>) -> Result<V, Error> {
        if result.is_err() {
            self.stats.count(Counter::Error);
        }
        result
    }

    /// Refuses what is too large to be stored.
    pub(crate) fn storable(&self, value: Bytes) -> Result<Bytes, Error> {
        if value.len() <= self.max_value_bytes {
            return Ok(value);
        }
        self.stats.count(Counter::Unstorable);
        let (length, limit) = (value.len(), self.max_value_bytes);
        Err(Error::new(
            ErrorKind::TooLarge,
            format!("a value of {length} bytes is not stored; `max_value_bytes` is {limit}"),
        ))
    }

    /// Reads, and counts a hit or a miss.
    pub(super) async fn read(
        &self,
        state: &State,
        key: &WireKey,
        tags: &Tags,
    ) -> Result<Found, Error> {
        let found = self.counted(state.engine.read(key, self.view(tags)).await);
        match &found {
            Ok(Found::Entry { .. }) => self.stats.count(Counter::Hit),
            Ok(Found::Unusable(Standing::Foreign, _)) => {
                self.stats.count(Counter::Foreign);
                self.stats.count(Counter::Miss);
            }
            Ok(Found::Missing | Found::Unusable(..)) | Err(_) => self.stats.count(Counter::Miss),
        }
        found
    }

    pub(super) async fn load(&self, state: &State, load: Load) -> Loaded {
        let began = state.engine.runtime().now();
        let known = match load.reload {
            true => Known::Unread,
            false => match self.read(state, &load.key, &load.tags).await {
                Ok(Found::Entry { absent: true, .. }) => return Loaded::Absent,
                Ok(Found::Entry { value, .. }) => return Loaded::Value(value),
                Ok(Found::Unusable(standing, seen)) => Known::Read(standing, seen),
                Ok(Found::Missing) => Known::Read(Standing::Nothing, Seen::Nothing),
                Err(_) => Known::Unreadable,
            },
        };
        let budget = self.backend_budget.saturating_sub(state.engine.runtime().now() - began);
        // A box of its own: hits, which are most, shall not carry the room that it takes.
        Box::pin(self.acquire(state, load, known, budget)).await
    }

    async fn acquire(
        &self,
        state: &State,
        load: Load,
        known: Known,
        backend_budget: Duration,
    ) -> Loaded {
        let call = Call {
            key: &load.key,
            identity: Identity {
                cache: self.number,
                errors: TypeId::of::<Failure>(),
                takes_absent: true,
            },
            view: self.view(&load.tags),
            keep: load.keep,
            judge: &AnyBytes,
            stats: &self.stats,
            wait_timeout: self.wait_timeout,
            backend_budget,
            max_waiters: 10_000,
            reload: load.reload,
        };
        match state.engine.acquire(call, known).await {
            Acquisition::Hit(Value::Absent) => Loaded::Absent,
            Acquisition::Hit(Value::Present(shared)) => match shared.downcast::<Shareable>() {
                Ok(shared) => Loaded::Shared(shared),
                Err(_) => Loaded::Absent,
            },
            Acquisition::Lead(ticket) => Loaded::Ticket(ticket),
            Acquisition::Failed(error) => Loaded::Failed(error),
        }
    }
}

/// What a loading call asks for.
pub(super) struct Load {
    pub(super) key: WireKey,
    pub(super) tags: Tags,
    pub(super) keep: Ttl,
    pub(super) reload: bool,
}
