//! The servers themselves: any command, any pipeline.

use std::sync::Arc;

use hotshelf_core::Error;
use hotshelf_redis::{RedisClient, Reply, Scan};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::convert;
use crate::errors::exception;
use crate::pending::outcome;
use crate::store::{Shared, Store, begin};

/// Sends commands to the servers of a store.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Client {
    shared: Arc<Shared>,
}

type Command = Vec<Vec<u8>>;

#[pymethods]
impl Client {
    #[new]
    fn new(store: &Store) -> Self {
        Self { shared: Arc::clone(&store.shared) }
    }

    /// Sends a command, and gives its reply.
    fn command<'py>(&self, py: Python<'py>, command: Command) -> PyResult<Bound<'py, PyAny>> {
        let shared = Arc::clone(&self.shared);
        begin(py, async move {
            let reply = ask(&shared, async |client| client.command(&command).await).await;
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
        let shared = Arc::clone(&self.shared);
        begin(py, async move {
            let replies = ask(&shared, async |client| match transaction {
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
        Walk { shared: Arc::clone(&self.shared), pattern, scan: Arc::default() }
    }
}

/// A walk over keys.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Walk {
    shared: Arc<Shared>,
    pattern: Vec<u8>,
    scan: Arc<std::sync::Mutex<Option<Scan>>>,
}

#[pymethods]
impl Walk {
    /// Takes a step: a list of keys, `None` at the end.
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (shared, kept) = (Arc::clone(&self.shared), Arc::clone(&self.scan));
        let pattern = self.pattern.clone();
        begin(py, async move {
            let begun = crate::store::lock(&kept).take();
            let mut scan = match begun.map_or_else(|| begin_scan(&shared, &pattern), Ok) {
                Ok(scan) => scan,
                Err(error) => return outcome(move |_| Err(exception(&error))),
            };
            let keys = scan.next_keys().await;
            *crate::store::lock(&kept) = Some(scan);
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

fn begin_scan(shared: &Shared, pattern: &[u8]) -> Result<Scan, Error> {
    Ok(shared.client()?.scan(pattern))
}

async fn ask<T>(
    shared: &Shared,
    asking: impl AsyncFnOnce(RedisClient) -> Result<T, Error>,
) -> Result<T, Error> {
    asking(shared.client()?).await
}
