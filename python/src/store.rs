//! A backend and its caches, for all event loops of the process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hotshelf_core::cache::LEASE;
use hotshelf_core::near::NearOptions;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{Backend, ByteStore, Error, ErrorKind, Runtime, cache};
use hotshelf_memory::MemoryBackend;
use hotshelf_memory::testing::{ScriptedBackend, SimulatedTime};
use hotshelf_redis::{RedisBackend, RedisClient, RedisOptions, TlsOptions, Tracking};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::arguments::{duration, names};
use crate::cache::boolean;
use crate::convert;
use crate::errors::exception;
use crate::fork::{self, Process};
use crate::host::{self, begin};
use crate::pending::{done, outcome};
use crate::runtime::LoopRuntime;
use crate::test_backend::TestBackend;
use crate::transport::LoopTransport;
use crate::{finalization, log, spans};

/// The state of a store in one process; a forked process creates its own.
pub(crate) struct State {
    pub(crate) store: ByteStore,
    /// The raw client; `None` for the memory backend.
    redis: Option<RedisClient>,
    process: Process,
}

/// The state that a store and its caches share.
pub(crate) struct Shared {
    target: Target,
    state: Mutex<Arc<State>>,
    /// The number of states before this one.
    generation: AtomicU64,
}

/// A state of a store, among those that follow one another.
#[derive(Clone, Copy)]
pub(crate) struct Generation {
    process: Process,
    number: u64,
}

enum Target {
    Memory { capacity: u64 },
    Test(Arc<ScriptedBackend>, Arc<SimulatedTime<LoopRuntime>>),
    Redis(Box<RedisOptions>, Arc<LoopTransport>, Option<NearOptions>),
}

impl Shared {
    /// Returns the state of the store in this process. After a fork it is created with a new
    /// backend, and the parent's is leaked: its sockets and operations belong to the parent.
    pub(crate) fn state(&self) -> Arc<State> {
        let mut state = self.state.lock();
        if state.process.is_parent() {
            let own = self.target.state(Some(&state.store));
            std::mem::forget(std::mem::replace(&mut *state, own));
            self.generation.fetch_add(1, Ordering::Release);
        }
        Arc::clone(&state)
    }

    /// Returns which state the store has now.
    pub(crate) fn generation(&self) -> Generation {
        Generation { process: Process::current(), number: self.generation.load(Ordering::Acquire) }
    }

    /// Returns `true` if the store still has that state.
    #[inline]
    pub(crate) fn is_now(&self, generation: Generation) -> bool {
        !generation.process.is_parent()
            && generation.number == self.generation.load(Ordering::Acquire)
    }

    /// Returns the raw client.
    pub(crate) fn client(&self) -> Result<RedisClient, Error> {
        match &self.state().redis {
            Some(redis) => Ok(redis.clone()),
            None => Err(Error::new(
                ErrorKind::Unsupported,
                "memory:// has no server: use a Redis URL to send commands",
            )),
        }
    }
}

impl Target {
    /// Creates a store on a new backend, with the caches of the previous one.
    fn state(&self, previous: Option<&ByteStore>) -> Arc<State> {
        let runtime: Arc<dyn Runtime> = match self {
            Self::Test(_, time) => Arc::clone(time) as _,
            Self::Memory { .. } | Self::Redis(..) => Arc::new(LoopRuntime),
        };
        let (backend, redis, near): (Arc<dyn Backend>, _, _) = match self {
            Self::Memory { capacity } => {
                (Arc::new(MemoryBackend::new(*capacity, Arc::clone(&runtime))), None, None)
            }
            Self::Test(backend, _) => (Arc::new(backend.another()), None, None),
            Self::Redis(options, transport, near) => {
                let transport = Arc::clone(transport);
                let backend = RedisBackend::on(transport, options, Arc::clone(&runtime));
                let client = backend.client().clone();
                (Arc::new(backend), Some(client), *near)
            }
        };
        let store = match previous {
            Some(store) => store.on(backend, runtime),
            None => ByteStore::with_options(backend, runtime, LEASE, near)
                .expect("the options were checked"),
        };
        Arc::new(State { store, redis, process: Process::current() })
    }
}

/// The attributes of `hotshelf.Tls`, with the bytes of its files.
#[derive(FromPyObject)]
struct TlsArguments {
    root_certificates: Option<Vec<u8>>,
    /// The certificates and the key.
    client_certificate: Option<(Vec<u8>, Vec<u8>)>,
    server_name: Option<String>,
    danger_accept_invalid_certificates: bool,
}

/// The TLS options of connections to Sentinels, if they differ from those to servers.
#[derive(FromPyObject)]
enum SentinelTls {
    Off(#[expect(dead_code, reason = "`False`, which is all it can be")] bool),
    On(TlsArguments),
}

impl From<TlsArguments> for TlsOptions {
    fn from(arguments: TlsArguments) -> Self {
        let mut options = Self::new();
        if let Some(pem) = arguments.root_certificates {
            options = options.root_certificates(pem);
        }
        if let Some((certificates, key)) = arguments.client_certificate {
            options = options.client_certificate(certificates, key);
        }
        if let Some(name) = arguments.server_name {
            options = options.server_name(name);
        }
        options.danger_accept_invalid_certificates(arguments.danger_accept_invalid_certificates)
    }
}

/// The options of a near tier: bytes, times in seconds, prefixes to broadcast, and whether
/// entries are kept without reports.
type NearArguments = (u64, f64, f64, Vec<String>, bool);

/// Converts the options of a near tier: bytes, and times in seconds.
fn near_options(arguments: &NearArguments) -> PyResult<NearOptions> {
    let (bytes, staleness, ttl, _, without_reports) = *arguments;
    let near = NearOptions::default()
        .max_bytes(bytes)
        .max_staleness(duration(staleness)?)
        .time_to_live(duration(ttl)?)
        .without_reports(without_reports);
    near.validate().map_err(|error| exception(&error))?;
    Ok(near)
}

/// A backend and its caches.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Store {
    pub(crate) shared: Arc<Shared>,
}

#[pymethods]
impl Store {
    /// Creates a store from a URL, including `memory://`, and timeouts in seconds.
    #[new]
    #[pyo3(signature = (url, *, connect_timeout, read_timeout, store_timeout, client_name, user,
                        password, db, protocol, tls, sentinel_tls, memory_capacity, near, enabled))]
    #[expect(clippy::too_many_arguments, reason = "the options of the constructor in Python")]
    fn new(
        url: &str,
        connect_timeout: f64,
        read_timeout: f64,
        store_timeout: f64,
        client_name: Option<String>,
        user: Option<String>,
        password: Option<String>,
        db: Option<u64>,
        protocol: Option<u8>,
        tls: Option<TlsArguments>,
        sentinel_tls: Option<SentinelTls>,
        memory_capacity: u64,
        near: Option<NearArguments>,
        enabled: bool,
    ) -> PyResult<Self> {
        let target = match url {
            "memory://" | "memory:" => Target::Memory { capacity: memory_capacity },
            url => {
                let options = RedisOptions::from_url(url).map_err(|error| exception(&error))?;
                let mut options = options
                    .connect_timeout(duration(connect_timeout)?)
                    .read_timeout(duration(read_timeout)?)
                    .store_timeout(duration(store_timeout)?);
                if let Some(name) = client_name {
                    options = options.client_name(name);
                }
                if let Some(user) = user {
                    options = options.user(user);
                }
                if let Some(password) = password {
                    options = options.password(password);
                }
                if let Some(number) = db {
                    options = options.database(number);
                }
                if let Some(version) = protocol {
                    options = options.protocol(version);
                }
                if let Some(tls) = tls {
                    options = options.tls(tls.into());
                }
                match sentinel_tls {
                    None => {}
                    Some(SentinelTls::Off(_)) => options = options.sentinel_tls(None),
                    Some(SentinelTls::On(tls)) => {
                        options = options.sentinel_tls(TlsOptions::from(tls));
                    }
                }
                if let Some((.., prefixes, _)) = &near
                    && !prefixes.is_empty()
                {
                    options = options.tracking(Tracking::Broadcast(prefixes.clone()));
                }
                options.validate().map_err(|error| exception(&error))?;
                let transport = LoopTransport::new(&options).map_err(|error| exception(&error))?;
                let near = near.as_ref().map(near_options).transpose()?;
                Target::Redis(Box::new(options), Arc::new(transport), near)
            }
        };
        let state = target.state(None);
        state.store.set_enabled(enabled);
        Ok(Self {
            shared: Arc::new(Shared {
                target,
                state: Mutex::new(state),
                generation: AtomicU64::new(0),
            }),
        })
    }

    /// Creates a store on a backend for tests.
    #[staticmethod]
    fn for_tests(backend: &TestBackend) -> Self {
        let target = Target::Test(Arc::clone(&backend.backend), Arc::clone(&backend.time));
        let state = Mutex::new(target.state(None));
        let generation = AtomicU64::new(0);
        Self { shared: Arc::new(Shared { target, state, generation }) }
    }

    /// Returns the kind of backend: `memory` or `redis`.
    #[getter]
    fn backend(&self) -> &'static str {
        self.shared.state().store.backend()
    }

    /// Returns the addresses of the servers, without passwords.
    #[getter]
    pub(crate) fn address(&self) -> String {
        match &self.shared.target {
            Target::Memory { .. } | Target::Test(..) => "memory://".to_owned(),
            Target::Redis(options, ..) => options.to_string(),
        }
    }

    /// Returns the state of the near tier; `None` without one.
    fn near<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let state = self.shared.state();
        state.store.near().map(|near| convert::near_info(py, &near.info())).transpose()
    }

    /// Returns whether the caches are on.
    #[getter]
    fn enabled(&self) -> bool {
        self.shared.state().store.is_enabled()
    }

    /// Switches all caches on or off. Invalidations are executed in both cases.
    fn set_enabled(&self, enabled: bool) {
        self.shared.state().store.set_enabled(enabled);
    }

    /// Sends a `PING`, and raises an exception if the backend doesn't answer.
    fn ping<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let state = self.shared.state();
        begin(py, async move { done(state.store.ping().await) })
    }

    /// Returns information about the server.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let state = self.shared.state();
        begin(py, async move {
            let info = state.store.info().await;
            outcome(move |py| {
                let info = info.map_err(|error| exception(&error))?;
                Ok(convert::server_info(py, &info)?.into_any().unbind())
            })
        })
    }

    /// Invalidates tags, in the caches of all declared prefixes and of `prefixes`.
    fn invalidate_tags<'py>(
        &self,
        py: Python<'py>,
        prefixes: Vec<String>,
        tags: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let state = self.shared.state();
        let names = names(tags)?.map_err(|error| exception(&error))?;
        begin(py, async move { done(state.store.invalidate_tags(names, prefixes).await) })
    }

    /// Returns the text of a token for the changes that were applied so far.
    fn consistency_token(&self) -> String {
        self.shared.state().store.consistency_token().to_string()
    }

    /// Returns the counters of each cache, by its name.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = PyDict::new(py);
        for cache in self.shared.state().store.caches() {
            let version = cache.version.as_deref().unwrap_or("-");
            let name = format!("{}:{version}:{} of {}", cache.prefix, cache.name, cache.value_type);
            all.set_item(name, convert::stats(py, &cache.stats)?)?;
        }
        Ok(all)
    }

    /// Returns the metrics: a list of families, each with its name, description, type and samples of
    /// labels and a value. The value of a histogram is its buckets, of bounds and counts, and its sum.
    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::families(py, &self.shared.state().store.metrics())
    }

    /// Returns the text of the metrics for Prometheus.
    fn metrics_text(&self) -> String {
        self.shared.state().store.metrics().to_string()
    }

    /// Returns the latest events from a number on, oldest first.
    fn events<'py>(&self, py: Python<'py>, since: u64) -> PyResult<Bound<'py, PyList>> {
        let state = self.shared.state();
        let events = state.store.events();
        let shown = events.since(since).into_iter().map(|event| {
            let shown = convert::serialized(py, serde_json::to_value(&event))?;
            shown.set_item("age", events.age(&event).as_secs_f64())?;
            Ok(shown)
        });
        PyList::new(py, shown.collect::<PyResult<Vec<_>>>()?)
    }

    /// Reopens the store after it was closed, with its caches.
    fn reopen(&self) {
        let previous = self.shared.state();
        let state = self.shared.target.state(Some(&previous.store));
        drop(std::mem::replace(&mut *self.shared.state.lock(), state));
        self.shared.generation.fetch_add(1, Ordering::Release);
    }

    /// Finishes what was begun, and closes all connections. Returns whether it succeeded.
    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let state = self.shared.state();
        begin(py, async move {
            let unfinished = state.store.close().await;
            outcome(move |py| boolean(py, Ok(unfinished.is_nothing())))
        })
    }
}

/// Declares a prefix, so that invalidations by tag include its caches, in all managers. A
/// value that is not valid in a key is ignored.
#[pyfunction]
pub(crate) fn declare_prefix(prefix: &Bound<'_, PyAny>) {
    if let Ok(prefix) = prefix.extract::<String>()
        && !prefix.is_empty()
    {
        cache::declare_prefix(&prefix);
    }
}

/// Discards the state of the parent in a forked process.
#[pyfunction]
pub(crate) fn after_fork(py: Python<'_>) -> PyResult<()> {
    fork::mark_fork();
    finalization::after_fork();
    log::clear();
    spans::clear();
    host::forget_all(py)
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}
