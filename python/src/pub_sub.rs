//! Subscriptions to channels.

use std::collections::{BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use hotshelf_core::Error;
use hotshelf_core::sync::Mutex;
use hotshelf_core::timeout::within;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arguments::duration;
use crate::errors::exception;
use crate::host::begin;
use crate::pending::{done, outcome};
use crate::runtime::LoopRuntime;
use crate::store::Shared;
use crate::turns::Turns;

/// Subscriptions, on a connection of their own.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct PubSub {
    shared: Arc<Shared>,
    subscriptions: Arc<Turns<Subscriptions>>,
    returned: Returned,
}

/// What was received for a caller that was cancelled, and is received again.
type Returned = Arc<Mutex<VecDeque<Received>>>;

#[derive(Default)]
struct Subscriptions {
    /// `None` before the first subscription.
    connection: Option<hotshelf_redis::PubSub>,
    channels: BTreeSet<Vec<u8>>,
    patterns: BTreeSet<Vec<u8>>,
    returned: Returned,
    /// What `next` returns before the messages.
    confirmations: VecDeque<Received>,
}

/// A message, or the confirmation of a subscription.
enum Received {
    Message(hotshelf_redis::Message),
    Confirmation { kind: &'static str, name: Vec<u8>, left: usize },
}

impl PubSub {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let subscriptions = Subscriptions::default();
        let returned = Arc::clone(&subscriptions.returned);
        Self { shared: Arc::clone(shared), subscriptions: Turns::new(subscriptions), returned }
    }
}

#[pymethods]
impl PubSub {
    /// Subscribes to channels, or to the channels that match patterns.
    fn subscribe<'py>(
        &self,
        py: Python<'py>,
        names: Vec<Vec<u8>>,
        patterns: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (shared, subscriptions) = (Arc::clone(&self.shared), Arc::clone(&self.subscriptions));
        begin(py, async move {
            let subscribed = async {
                let mut turn = subscriptions.next(true).await?;
                turn.subscribe(&shared, names, patterns).await
            };
            done(subscribed.await)
        })
    }

    /// Unsubscribes from channels or patterns; `None` means from all of them.
    #[pyo3(signature = (names, patterns))]
    fn unsubscribe<'py>(
        &self,
        py: Python<'py>,
        names: Option<Vec<Vec<u8>>>,
        patterns: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let subscriptions = Arc::clone(&self.subscriptions);
        begin(py, async move {
            let turn = subscriptions.next(true).await;
            done(turn.map(|mut turn| turn.unsubscribe(names, patterns)))
        })
    }

    /// Waits for the next message or confirmation, for so many seconds; returns `None` after
    /// that.
    #[pyo3(signature = (timeout))]
    fn next<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let timeout = timeout.map(duration).transpose()?;
        let (subscriptions, to) = (Arc::clone(&self.subscriptions), Arc::clone(&self.returned));
        begin(py, async move {
            let received = received_within(&subscriptions, timeout).await;
            let received = received.map(|received| Undelivered { received, to });
            outcome(move |py| match received.map_err(|error| exception(&error))?.received.take() {
                Some(received) => received.into_python(py),
                None => Ok(py.None()),
            })
        })
    }

    /// Cancels all subscriptions, and closes the connection.
    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let subscriptions = Arc::clone(&self.subscriptions);
        begin(py, async move {
            let turn = subscriptions.next(true).await;
            done(turn.map(|mut turn| {
                let returned = std::mem::take(&mut turn.returned);
                returned.lock().clear();
                *turn = Subscriptions { returned, ..Subscriptions::default() };
            }))
        })
    }
}

impl Subscriptions {
    async fn subscribe(
        &mut self,
        shared: &Shared,
        names: Vec<Vec<u8>>,
        patterns: bool,
    ) -> Result<(), Error> {
        if self.connection.is_none() {
            self.connection = Some(shared.client()?.pub_sub());
        }
        let known = if patterns { &mut self.patterns } else { &mut self.channels };
        let new: Vec<_> = names.iter().filter(|name| !known.contains(*name)).cloned().collect();
        known.extend(new.iter().cloned());
        if let Some(connection) = &mut self.connection {
            match patterns {
                true => connection.subscribe_patterns(&new).await?,
                false => connection.subscribe(&new).await?,
            }
        }
        let kind = if patterns { "psubscribe" } else { "subscribe" };
        // Those that were subscribed before don't count again.
        let mut left = self.channels.len() + self.patterns.len() - new.len();
        for name in names {
            left += usize::from(new.contains(&name));
            self.confirmations.push_back(Received::Confirmation { kind, name, left });
        }
        Ok(())
    }

    fn unsubscribe(&mut self, names: Option<Vec<Vec<u8>>>, patterns: bool) {
        let (kind, known) = match patterns {
            true => ("punsubscribe", &mut self.patterns),
            false => ("unsubscribe", &mut self.channels),
        };
        let names = names.unwrap_or_else(|| known.iter().cloned().collect());
        if let Some(connection) = &mut self.connection {
            match patterns {
                true => connection.unsubscribe_patterns(&names),
                false => connection.unsubscribe_channels(&names),
            }
        }
        for name in names {
            let known = if patterns { &mut self.patterns } else { &mut self.channels };
            known.remove(&name);
            let left = self.channels.len() + self.patterns.len();
            self.confirmations.push_back(Received::Confirmation { kind, name, left });
        }
    }

    /// Waits for what is received next. Waits forever without subscriptions.
    async fn next(&mut self) -> Result<Received, Error> {
        let returned = self.returned.lock().pop_front();
        if let Some(received) = returned.or_else(|| self.confirmations.pop_front()) {
            return Ok(received);
        }
        match &mut self.connection {
            Some(connection) if !(self.channels.is_empty() && self.patterns.is_empty()) => {
                connection.next().await.map(Received::Message)
            }
            _ => std::future::pending().await,
        }
    }
}

async fn received_within(
    subscriptions: &Arc<Turns<Subscriptions>>,
    timeout: Option<Duration>,
) -> Result<Option<Received>, Error> {
    // A lost connection is opened again even if the timeout is short.
    if let Some(mut turn) = subscriptions.try_next()
        && let Some(connection) = &mut turn.connection
    {
        connection.connect().await?;
    }
    match timeout {
        None => next(subscriptions).await.map(Some),
        Some(timeout) => within(&LoopRuntime, timeout, next(subscriptions)).await.transpose(),
    }
}

async fn next(subscriptions: &Arc<Turns<Subscriptions>>) -> Result<Received, Error> {
    loop {
        let mut turn = subscriptions.next(false).await?;
        let (next, wanted) = (pin!(turn.next()), pin!(subscriptions.wanted()));
        if let Either::Left((received, _)) = select(next, wanted).await {
            return received;
        }
    }
}

/// What was received, until its caller takes it.
struct Undelivered {
    received: Option<Received>,
    to: Returned,
}

impl Drop for Undelivered {
    fn drop(&mut self) {
        self.to.lock().extend(self.received.take());
    }
}

impl Received {
    /// Converts it to `(kind, pattern, channel, data)`.
    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let tuple = match self {
            Self::Message(message) => {
                let pattern = message.pattern.as_ref().map(|pattern| PyBytes::new(py, pattern));
                let kind = if pattern.is_some() { "pmessage" } else { "message" };
                let channel = PyBytes::new(py, &message.channel);
                (kind, pattern, channel, PyBytes::new(py, &message.payload)).into_pyobject(py)?
            }
            Self::Confirmation { kind, name, left } => {
                (kind, None::<()>, PyBytes::new(py, &name), left).into_pyobject(py)?
            }
        };
        Ok(tuple.into_any().unbind())
    }
}
