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
use crate::pending::outcome;
use crate::store::{Shared, Store};

/// Sends commands to the servers of a store.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Client {
    shared: Arc<Shared>,
    timeout: Option<Duration>,
}

type Command = Vec<Vec<u8>>;

#[pymethods]
impl Client {
    /// Creates a client. The timeout of a command, or of one step of a scan, is `timeout` in
    /// seconds; default: the store's `store_timeout`.
    #[new]
    #[pyo3(signature = (store, timeout=None))]
    fn new(store: &Store, timeout: Option<f64>) -> PyResult<Self> {
        let timeout = timeout.map(duration).transpose()?;
        Ok(Self { shared: Arc::clone(&store.shared), timeout })
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

    /// Begins a scan of the keys that match a pattern, on all primaries.
    fn scan(&self, pattern: Vec<u8>) -> KeyScan {
        let (shared, timeout) = (Arc::clone(&self.shared), self.timeout);
        KeyScan { shared, timeout, pattern, scan: Arc::default() }
    }
}

/// A scan of keys.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct KeyScan {
    shared: Arc<Shared>,
    timeout: Option<Duration>,
    pattern: Vec<u8>,
    scan: Arc<Mutex<Option<Scan>>>,
}

#[pymethods]
impl KeyScan {
    /// Returns the next keys, or `None` at the end. Costs one round trip.
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (shared, state) = (Arc::clone(&self.shared), Arc::clone(&self.scan));
        let (timeout, pattern) = (self.timeout, self.pattern.clone());
        begin(py, async move {
            let begun = state.lock().take();
            let start = || Ok(client(&shared, timeout)?.scan(&pattern));
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
