//! A backend and all caches on it, for every event loop of the process.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hotshelf_core::tag::TagId;
use hotshelf_core::{Backend, Engine, Error, ErrorKind, Stats};
use hotshelf_memory::MemoryBackend;
use hotshelf_redis::{RedisClient, RedisOptions};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::backend::PerLoop;
use crate::convert;
use crate::driver::Driver;
use crate::errors::exception;
use crate::fork::{self, Process};
use crate::pending::{Outcome, outcome};
use crate::runtime::LoopRuntime;
use crate::sync::lock;
use crate::transport::LoopTransport;

/// What a store keeps until the process is forked.
pub(crate) struct State {
    pub(crate) engine: Engine,
    /// The connections; `None` in memory.
    redis: Option<Arc<PerLoop>>,
    process: Process,
}

/// What a store and its caches share.
pub(crate) struct Shared {
    target: Target,
    state: Mutex<Arc<State>>,
    enabled: AtomicBool,
    caches: Mutex<HashMap<String, (u64, Arc<Stats>)>>,
}

enum Target {
    Memory { capacity: u64 },
    Redis(Box<RedisOptions>, Arc<LoopTransport>),
}

impl Shared {
    /// Gives the engine; in a process that was forked off, one of its own. The parent's is
    /// left as it is: its sockets and what it was about to do are the parent's.
    pub(crate) fn state(&self) -> Arc<State> {
        let mut state = lock(&self.state);
        if state.process.is_gone() {
            std::mem::forget(std::mem::replace(&mut *state, self.target.state()));
        }
        Arc::clone(&state)
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Gives the number and the counters of a cache, the same for the same name.
    pub(crate) fn cache(&self, name: String) -> (u64, Arc<Stats>) {
        let mut caches = lock(&self.caches);
        let number = caches.len() as u64;
        let (number, stats) = caches.entry(name).or_insert_with(|| (number, Arc::default()));
        (*number, Arc::clone(stats))
    }

    /// Gives the raw client.
    pub(crate) fn client(&self) -> Result<RedisClient, Error> {
        match &self.state().redis {
            Some(redis) => redis.client(),
            None => Err(Error::new(ErrorKind::Unsupported, "there is no server behind memory://")),
        }
    }
}

impl Target {
    fn state(&self) -> Arc<State> {
        let runtime = Arc::new(LoopRuntime);
        let (backend, redis): (Arc<dyn Backend>, _) = match self {
            Self::Memory { capacity } => {
                (Arc::new(MemoryBackend::new(*capacity, Arc::new(LoopRuntime))), None)
            }
            Self::Redis(options, transport) => {
                let redis = PerLoop::new((**options).clone(), Arc::clone(transport));
                let redis = Arc::new(redis);
                (Arc::clone(&redis) as Arc<dyn Backend>, Some(redis))
            }
        };
        Arc::new(State { engine: Engine::new(backend, runtime), redis, process: Process::this() })
    }
}

/// A backend and all caches on it.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Store {
    pub(crate) shared: Arc<Shared>,
}

#[pymethods]
impl Store {
    /// Takes a URL, `memory://` among them, and deadlines in seconds.
    #[new]
    #[pyo3(signature = (url, *, connect_timeout=0.25, read_timeout=0.1, store_timeout=0.25,
                        client_name=None, memory_capacity=64 << 20, enabled=true))]
    fn new(
        url: &str,
        connect_timeout: f64,
        read_timeout: f64,
        store_timeout: f64,
        client_name: Option<String>,
        memory_capacity: u64,
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
                let transport = LoopTransport::new(&options).map_err(|error| exception(&error))?;
                Target::Redis(Box::new(options), Arc::new(transport))
            }
        };
        let state = Mutex::new(target.state());
        let (enabled, caches) = (AtomicBool::new(enabled), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { target, state, enabled, caches }) })
    }

    /// The kind of backend: `memory` or `redis`.
    #[getter]
    fn backend(&self) -> &'static str {
        self.shared.state().engine.backend().name()
    }

    /// Where the servers are, without passwords.
    #[getter]
    fn address(&self) -> String {
        match &self.shared.target {
            Target::Memory { .. } => "memory://".to_owned(),
            Target::Redis(options, _) => options.to_string(),
        }
    }

    /// Whether the caches are on.
    #[getter]
    fn enabled(&self) -> bool {
        self.shared.is_enabled()
    }

    /// Switches all caches on or off. Invalidations go on.
    fn set_enabled(&self, enabled: bool) {
        self.shared.enabled.store(enabled, Ordering::Relaxed);
    }

    /// Asks whether the backend answers.
    fn ping<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let state = self.shared.state();
        begin(py, async move {
            let answer = state.engine.backend().ping().await;
            outcome(move |py| answer.map(|()| py.None()).map_err(|error| exception(&error)))
        })
    }

    /// Reads what the backend says of itself.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let state = self.shared.state();
        begin(py, async move {
            let info = state.engine.backend().info().await;
            outcome(move |py| {
                let info = info.map_err(|error| exception(&error))?;
                Ok(convert::server_info(py, &info)?.into_any().unbind())
            })
        })
    }

    /// Forgets the versions of tags, for each of the prefixes.
    fn invalidate_tags<'py>(
        &self,
        py: Python<'py>,
        prefixes: Vec<String>,
        names: Vec<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let state = self.shared.state();
        let mut keys = Vec::with_capacity(names.len() * prefixes.len());
        for name in &names {
            let id = TagId::of(name).map_err(|error| exception(&error))?;
            keys.extend(prefixes.iter().map(|prefix| id.key(prefix)));
        }
        begin(py, async move {
            let answer = state.engine.invalidate_tags(keys).await;
            outcome(move |py| answer.map(|()| py.None()).map_err(|error| exception(&error)))
        })
    }

    /// What each cache has counted, by its name.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = PyDict::new(py);
        for (name, (_, stats)) in lock(&self.shared.caches).iter() {
            all.set_item(name, convert::stats(py, &stats.read())?)?;
        }
        Ok(all)
    }

    /// Begins anew, after it was closed. Its caches go on with it.
    fn reopen(&self) {
        let before = std::mem::replace(&mut *lock(&self.shared.state), self.shared.target.state());
        drop(before);
    }

    /// Lets all connections go.
    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let state = self.shared.state();
        begin(py, async move {
            state.engine.backend().close().await;
            outcome(|py| Ok(py.None()))
        })
    }
}

/// Begins an operation on the loop that is running.
pub(crate) fn begin<F>(py: Python<'_>, operation: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = Outcome> + Send + 'static,
{
    Driver::begin(&Driver::on_this_loop(py)?, operation)
}

/// Takes a time in seconds.
pub(crate) fn duration(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| crate::errors::wrong(format!("{seconds} is no time in seconds")))
}

/// The process was forked: what is there is the parent's.
#[pyfunction]
pub(crate) fn after_fork(py: Python<'_>) -> PyResult<()> {
    fork::note();
    crate::driver::forget_all(py)
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}
