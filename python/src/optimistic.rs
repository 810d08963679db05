//! Transactions on watched keys.

use std::sync::Arc;

use hotshelf_redis::Reply;
use pyo3::prelude::*;

use crate::client::Command;
use crate::convert;
use crate::errors::exception;
use crate::host::begin;
use crate::pending::{done, outcome};
use crate::turns::Turns;

/// Transactions that are executed only if watched keys are unchanged, on a connection of their
/// own.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Optimistic {
    transactions: Arc<Turns<hotshelf_redis::Optimistic>>,
}

impl Optimistic {
    pub(crate) fn new(transactions: hotshelf_redis::Optimistic) -> Self {
        Self { transactions: Turns::new(transactions) }
    }
}

#[pymethods]
impl Optimistic {
    /// Watches keys.
    fn watch<'py>(&self, py: Python<'py>, keys: Vec<Vec<u8>>) -> PyResult<Bound<'py, PyAny>> {
        let transactions = Arc::clone(&self.transactions);
        begin(py, async move {
            let watched = async { transactions.next(false).await?.watch(&keys).await };
            done(watched.await)
        })
    }

    /// Sends a command, and returns its reply.
    fn command<'py>(&self, py: Python<'py>, command: Command) -> PyResult<Bound<'py, PyAny>> {
        let transactions = Arc::clone(&self.transactions);
        begin(py, async move {
            let reply = async { transactions.next(false).await?.command(&command).await };
            let reply = reply.await;
            outcome(move |py| convert::reply(py, reply.map_err(|error| exception(&error))?))
        })
    }

    /// Executes commands together, and returns their replies; `None` if a watched key has
    /// changed. The reply of a command that failed is an exception object.
    fn execute<'py>(&self, py: Python<'py>, commands: Vec<Command>) -> PyResult<Bound<'py, PyAny>> {
        let transactions = Arc::clone(&self.transactions);
        begin(py, async move {
            let replies = async { transactions.next(false).await?.execute(&commands).await };
            let replies = replies.await;
            outcome(move |py| match replies.map_err(|error| exception(&error))? {
                Some(replies) => convert::reply(py, Reply::Array(replies)),
                None => Ok(py.None()),
            })
        })
    }

    /// Watches no keys any more.
    fn unwatch<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let transactions = Arc::clone(&self.transactions);
        begin(
            py,
            async move { done(async { transactions.next(false).await?.unwatch().await }.await) },
        )
    }
}
