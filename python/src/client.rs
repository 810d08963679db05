//! The servers themselves: any command, any pipeline.

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
use crate::pending::outcome;
use crate::store::{Shared, Store, begin};

/// Sends commands to the servers of a store.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Client {
    shared: Arc<Shared>,
    timeout: Option<Duration>,
}

type Command = Vec<Vec<u8>>;

#[pymethods]
impl Client {
    /// Waits for each command, and each step of a walk, for up to `timeout` seconds: the
    /// store's `store_timeout` unless told otherwise.
    #[new]
    #[pyo3(signature = (store, timeout=None))]
    fn new(store: &Store, timeout: Option<f64>) -> PyResult<Self> {
        let timeout = timeout.map(duration).transpose()?;
        Ok(Self { shared: Arc::clone(&store.shared), timeout })
    }

    /// Sends a command, and gives its reply.
    fn command<'py>(&self, py: Python<'py>, command: Command) -> PyResult<Bound<'py, PyAny>> {
        let (shared, timeout) = (Arc::clone(&self.shared), self.timeout);
        begin(py, async move {
            let reply = ask(&shared, timeout, async |client| client.command(&command).await).await;
            outcome(move |py| convert::reply(py, reply.map_err(|error| exception(&error))?))
        })
    }

    /// Sends commands at once, and gives their replies: a command that failed is an
    /// exception among them.
    fn pipeline<'py>(
        &self,
        py: Python<'py>,
        commands: Vec<Command>,
        transaction: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (shared, timeout) = (Arc::clone(&self.shared), self.timeout);
        begin(py, async move {
            let replies = ask(&shared, timeout, async |client| match transaction {
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

    /// Begins a walk over the keys that match a pattern, on all primaries.
    fn scan(&self, pattern: Vec<u8>) -> Walk {
        let (shared, timeout) = (Arc::clone(&self.shared), self.timeout);
        Walk { shared, timeout, pattern, scan: Arc::default() }
    }
}

/// A walk over keys.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Walk {
    shared: Arc<Shared>,
    timeout: Option<Duration>,
    pattern: Vec<u8>,
    scan: Arc<Mutex<Option<Scan>>>,
}

#[pymethods]
impl Walk {
    /// Takes a step: a list of keys, `None` at the end.
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (shared, kept) = (Arc::clone(&self.shared), Arc::clone(&self.scan));
        let (timeout, pattern) = (self.timeout, self.pattern.clone());
        begin(py, async move {
            let begun = kept.lock().take();
            let start = || Ok(client(&shared, timeout)?.scan(&pattern));
            let mut scan = match begun.map_or_else(start, Ok) {
                Ok(scan) => scan,
                Err(error) => return outcome(move |_| Err(exception(&error))),
            };
            let keys = scan.next_keys().await;
            *kept.lock() = Some(scan);
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

async fn ask<T>(
    shared: &Shared,
    timeout: Option<Duration>,
    asking: impl AsyncFnOnce(RedisClient) -> Result<T, Error>,
) -> Result<T, Error> {
    asking(client(shared, timeout)?).await
}

fn client(shared: &Shared, timeout: Option<Duration>) -> Result<RedisClient, Error> {
    let client = shared.client()?;
    Ok(match timeout {
        Some(timeout) => client.with_timeout(timeout),
        None => client,
    })
}
