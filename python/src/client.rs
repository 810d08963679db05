//! Commands and pipelines on the servers.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::Error;
use hotshelf_core::sync::Mutex;
use hotshelf_redis::{RedisClient, Reply, Scan};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::arguments::duration;
use crate::convert;
use crate::errors::exception;
use crate::host::begin;
use crate::idle::Idle;
use crate::optimistic::Optimistic;
use crate::pending::outcome;
use crate::pub_sub::PubSub;
use crate::store::{Shared, Store};

/// Sends commands to the servers of a store.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Client {
    shared: Arc<Shared>,
    timeout: Option<Duration>,
    /// Connections for commands that block.
    idle: Arc<Idle>,
}

pub(crate) type Command = Vec<Vec<u8>>;

/// How long a command may block without a limit of its own.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long the reply may take after the time for which the command blocks.
const REPLY: Duration = Duration::from_secs(5);

#[pymethods]
impl Client {
    /// Creates a client. The timeout of a command, or of one step of a scan, is `timeout` in
    /// seconds; default: the store's `store_timeout`.
    #[new]
    #[pyo3(signature = (store, timeout=None))]
    fn new(store: &Store, timeout: Option<f64>) -> PyResult<Self> {
        let timeout = timeout.map(duration).transpose()?;
        Ok(Self { shared: Arc::clone(&store.shared), timeout, idle: Arc::new(Idle::new()) })
    }

    /// Sends a command, and returns its reply.
    fn command<'py>(&self, py: Python<'py>, command: Command) -> PyResult<Bound<'py, PyAny>> {
        let (shared, timeout) = (Arc::clone(&self.shared), self.timeout);
        begin(py, async move {
            let reply =
                with_client(&shared, timeout, async |client| client.command(&command).await).await;
            outcome(move |py| convert::reply(py, reply.map_err(|error| exception(&error))?))
        })
    }

    /// Sends commands together, and returns their replies; the reply of a command that failed
    /// is an exception object.
    fn pipeline<'py>(
        &self,
        py: Python<'py>,
        commands: Vec<Command>,
        transaction: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (shared, timeout) = (Arc::clone(&self.shared), self.timeout);
        begin(py, async move {
            let replies = with_client(&shared, timeout, async |client| match transaction {
                true => client.transaction(&commands).await,
                false => client.pipeline(&commands).await,
            })
            .await;
            outcome(move |py| {
                let replies = replies.map_err(|error| exception(&error))?;
                convert::reply(py, Reply::Array(replies))
            })
        })
    }

    /// Sends a command that may block for so many seconds, over a connection that no other
    /// command uses meanwhile, and returns its reply. `None` means without limit.
    #[pyo3(signature = (command, seconds))]
    fn blocking<'py>(
        &self,
        py: Python<'py>,
        command: Command,
        seconds: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let limit = seconds.map_or(Ok(FOREVER), duration)?.min(FOREVER);
        let (shared, timeout) = (Arc::clone(&self.shared), self.timeout);
        let idle = Arc::clone(&self.idle);
        begin(py, async move {
            let reply = async {
                let reply_time = timeout.unwrap_or(REPLY);
                let limit = limit.saturating_add(reply_time);
                let state = shared.state();
                let own = match idle.take(&state) {
                    Some(own) => own.with_timeout(limit),
                    None => client(&shared, timeout)?.blocking(limit),
                };
                let reply = own.command(&command).await?;
                // One that has failed, or whose caller is gone, may still be blocked.
                idle.keep(&state, own);
                Ok(reply)
            };
            let reply: Result<_, Error> = reply.await;
            outcome(move |py| convert::reply(py, reply.map_err(|error| exception(&error))?))
        })
    }

    /// Creates a subscriber, which opens its connection on first use.
    fn pub_sub(&self) -> PubSub {
        PubSub::new(&self.shared)
    }

    /// Creates a handle for transactions on watched keys, which opens its connection on first
    /// use.
    fn optimistic(&self) -> PyResult<Optimistic> {
        let client = client(&self.shared, self.timeout).map_err(|error| exception(&error))?;
        Ok(Optimistic::new(client.optimistic()))
    }

    /// Returns whether keys are distributed over several servers.
    fn is_cluster(&self) -> PyResult<bool> {
        let client = self.shared.client().map_err(|error| exception(&error))?;
        Ok(client.is_cluster())
    }

    /// Begins a scan of the keys that match a pattern, on all primaries. `kind` is the type of
    /// their values.
    #[pyo3(signature = (pattern, kind=None))]
    fn scan(&self, pattern: Vec<u8>, kind: Option<Vec<u8>>) -> KeyScan {
        let (shared, timeout) = (Arc::clone(&self.shared), self.timeout);
        KeyScan { shared, timeout, pattern, kind, scan: Arc::default() }
    }
}

/// A scan of keys.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct KeyScan {
    shared: Arc<Shared>,
    timeout: Option<Duration>,
    pattern: Vec<u8>,
    kind: Option<Vec<u8>>,
    scan: Arc<Mutex<Option<Scan>>>,
}

#[pymethods]
impl KeyScan {
    /// Returns the next keys, or `None` at the end. Costs one round trip.
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (shared, state) = (Arc::clone(&self.shared), Arc::clone(&self.scan));
        let (timeout, pattern, kind) = (self.timeout, self.pattern.clone(), self.kind.clone());
        begin(py, async move {
            let begun = state.lock().take();
            let start = || {
                let scan = client(&shared, timeout)?.scan(&pattern);
                Ok(match &kind {
                    Some(kind) => scan.of_type(kind),
                    None => scan,
                })
            };
            let mut scan = match begun.map_or_else(start, Ok) {
                Ok(scan) => scan,
                Err(error) => return outcome(move |_| Err(exception(&error))),
            };
            let keys = scan.next_keys().await;
            *state.lock() = Some(scan);
            outcome(move |py| match keys.map_err(|error| exception(&error))? {
                Some(keys) => {
                    let keys = keys.iter().map(|key| PyBytes::new(py, key));
                    Ok(PyList::new(py, keys)?.into_any().unbind())
                }
                None => Ok(py.None()),
            })
        })
    }
}

async fn with_client<T>(
    shared: &Shared,
    timeout: Option<Duration>,
    request: impl AsyncFnOnce(RedisClient) -> Result<T, Error>,
) -> Result<T, Error> {
    request(client(shared, timeout)?).await
}

fn client(shared: &Shared, timeout: Option<Duration>) -> Result<RedisClient, Error> {
    let client = shared.client()?;
    Ok(match timeout {
        Some(timeout) => client.with_timeout(timeout),
        None => client,
    })
}
