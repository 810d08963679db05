//! Fetching the slot map.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{select, select_ok};
use futures_util::stream::FuturesUnordered;
use hotshelf_core::timeout::within;
use hotshelf_core::{Error, Moment};
use hotshelf_wire::Endpoint;
use hotshelf_wire::cluster::{Refresh, SlotMap};
use hotshelf_wire::resp::Value;

use super::Cluster;
use crate::connection::{CloseReason, Routing};
use crate::errors;

/// How long other nodes are waited for once one has sent the map.
const WITNESSING: Duration = Duration::from_millis(50);

impl Cluster {
    /// Returns the map. Only the first one is awaited, until the timeout.
    pub(super) async fn map(self: &Arc<Self>, timeout: Duration) -> Result<Arc<SlotMap>, Error> {
        if let Some(known) = self.known_map() {
            if known.is_err() {
                // The previous discovery may have ended with its async runtime.
                self.discover();
            }
            return known;
        }
        self.discover();
        let map = within(&*self.dialer.runtime, timeout, self.first_map()).await;
        // Not a timeout of the command: it was not sent, so its outcome is known.
        map.unwrap_or_else(|| Err(errors::unavailable("no connection to the Cluster in time")))
    }

    /// Fetches the map for commands without a key: no node redirects them, so they would miss
    /// nodes that an outdated map lacks. All primaries are asked at once; the first valid
    /// reply is used.
    ///
    /// # Errors
    /// If no node replies with a complete map.
    pub(super) async fn fresh_map(
        self: &Arc<Self>,
        timeout: Duration,
    ) -> Result<Arc<SlotMap>, Error> {
        let known = self.map(timeout).await?;
        let fetches = known.primaries().iter().map(|node| Box::pin(self.fetch_from(node)));
        match select_ok(fetches).await {
            Ok((map, _)) => Ok(map),
            Err(error) => {
                self.mark_stale();
                Err(error)
            }
        }
    }

    async fn fetch_from(&self, node: &Endpoint) -> Result<Arc<SlotMap>, Error> {
        let reply = self.ask_for_map(node).await?;
        let map = self.state.lock().router.read(&reply, node);
        let map = map.ok().filter(SlotMap::is_complete);
        let map =
            map.ok_or_else(|| errors::unavailable(format!("incomplete slot map from {node}")))?;
        self.learn(node, Ok(reply));
        Ok(Arc::new(map))
    }

    async fn first_map(&self) -> Result<Arc<SlotMap>, Error> {
        loop {
            let changed = self.changed.listen();
            match self.known_map() {
                Some(known) => return known,
                None => changed.await,
            }
        }
    }

    /// Returns the map, or the error of fetching it; `None` before the first outcome.
    fn known_map(&self) -> Option<Result<Arc<SlotMap>, Error>> {
        let state = self.state.lock();
        match state.router.map() {
            _ if state.closed => Some(Err(CloseReason::Closed.into())),
            Some(map) => Some(Ok(Arc::clone(map))),
            None => state.failure.clone().map(Err),
        }
    }

    /// Marks the map as stale, and fetches it in the background.
    pub(super) fn mark_stale(self: &Arc<Self>) {
        self.state.lock().router.mark_stale();
        self.discover();
    }

    /// Spawns a task that fetches the map, unless one is running.
    pub(super) fn discover(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.discovering || state.closed {
            return;
        }
        state.discovering = true;
        drop(state);
        let discovery = Discovery { cluster: Arc::clone(self), ended: false };
        self.dialer.runtime.spawn(Box::pin(async move { discovery.run().await }));
    }

    async fn closed(&self) {
        loop {
            let changed = self.changed.listen();
            if self.state.lock().closed {
                return;
            }
            changed.await;
        }
    }

    /// Asks a node for the map, and some others: a node that is cut off from them reports an
    /// outdated one. Returns the reply on which two agree, or else that of the first one that
    /// has replied, and its sender.
    async fn ask_with_witnesses(&self, node: &Endpoint) -> (Endpoint, Result<Value, Error>) {
        let witnesses = self.state.lock().router.witnesses(node);
        let ask = |node: Endpoint| async move {
            let reply = self.ask_for_map(&node).await;
            (node, reply)
        };
        let mut asking: FuturesUnordered<_> =
            [node.clone()].into_iter().chain(witnesses).map(ask).collect();
        let mut replies: Vec<(Endpoint, Value, SlotMap)> = Vec::new();
        let mut failure = None;
        let runtime = &*self.dialer.runtime;
        loop {
            let next = match replies.is_empty() {
                true => asking.next().await,
                false => within(runtime, WITNESSING, asking.next()).await.flatten(),
            };
            let Some((sender, reply)) = next else { break };
            let read = |reply: &Value| self.state.lock().router.read(reply, &sender).ok();
            match reply.as_ref().ok().and_then(read) {
                Some(map) if replies.iter().any(|(_, _, other)| other.agrees_with(&map)) => {
                    return (sender, reply);
                }
                Some(map) => replies.extend(reply.map(|value| (sender, value, map))),
                None => failure = failure.or(Some((sender, reply))),
            }
        }
        let first = replies.into_iter().next().map(|(sender, value, _)| (sender, Ok(value)));
        first.or(failure).unwrap_or_else(|| (node.clone(), Err(CloseReason::Closed.into())))
    }

    /// Asks one node for the map.
    async fn ask_for_map(&self, node: &Endpoint) -> Result<Value, Error> {
        let link = self.link(node)?;
        let mut reply = Err(errors::unavailable("the node reports no slot map"));
        for command in SlotMap::requests() {
            reply = link.send(&command.into(), Routing::Owner, self.dialer.timeout()).await;
            match &reply {
                Ok(Value::Error(_)) => {}
                _ => return reply,
            }
        }
        match reply? {
            Value::Error(error) => Err(errors::from_server(error)),
            value => Ok(value),
        }
    }

    /// Records the outcome, and drops the links to nodes that left the Cluster.
    fn learn(&self, node: &Endpoint, reply: Result<Value, Error>) {
        let mut state = self.state.lock();
        let now = self.dialer.runtime.now();
        let learned = state.router.answered(node, reply.as_ref().ok(), now);
        let mut removed = Vec::new();
        if learned.is_ok() {
            state.failure = None;
            state.discovery_fails = false;
            let map = state.router.map().cloned();
            let is_needed = |node: &Endpoint| map.iter().any(|map| map.primaries().contains(node));
            removed.extend(state.links.extract_if(|node, _| !is_needed(node)));
        } else {
            let cause = reply.err().unwrap_or_else(|| {
                errors::unavailable("invalid slot map: is the node part of a Cluster?")
            });
            if !std::mem::replace(&mut state.discovery_fails, true) {
                let cause = cause.with_causes();
                tracing::warn!(
                    "can't fetch the slot map from {node} ({cause}); trying the next node"
                );
            }
            // Callers that wait for the first map don't wait for a second round.
            if state.router.all_nodes_failed() {
                state.failure = Some(cause);
            }
        }
        drop(state);
        // Calls in flight on these links still complete: they hold them, too.
        drop(removed);
        self.changed.notify(usize::MAX);
    }
}

/// Fetches the map for as long as it is stale.
struct Discovery {
    cluster: Arc<Cluster>,
    ended: bool,
}

impl Discovery {
    async fn run(mut self) {
        while let Some(step) = self.next_step() {
            let runtime = &self.cluster.dialer.runtime;
            match step {
                Step::Ask(node) => {
                    let (sender, reply) = self.cluster.ask_with_witnesses(&node).await;
                    self.cluster.learn(&sender, reply);
                }
                Step::Wait(until) => {
                    let closed = pin!(self.cluster.closed());
                    select(runtime.sleep(until.since(runtime.now())), closed).await;
                }
            }
        }
    }

    /// Returns the next step. Without one, the discovery ends under the same lock, so
    /// that it misses no stale mark.
    fn next_step(&mut self) -> Option<Step> {
        let mut state = self.cluster.state.lock();
        let now = self.cluster.dialer.runtime.now();
        match state.router.refresh(now) {
            _ if state.closed => {}
            Refresh::Ask(node) => return Some(Step::Ask(node)),
            Refresh::Wait(until) => return Some(Step::Wait(until)),
            Refresh::Idle => {}
        }
        state.discovering = false;
        self.ended = true;
        None
    }
}

enum Step {
    Ask(Endpoint),
    Wait(Moment),
}

impl Drop for Discovery {
    /// Allows another discovery: an async runtime drops its tasks when it ends.
    fn drop(&mut self) {
        if !self.ended {
            let mut state = self.cluster.state.lock();
            state.discovering = false;
            state.router.interrupted();
        }
    }
}
