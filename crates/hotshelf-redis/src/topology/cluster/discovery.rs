//! Learning who owns which slot.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select, select_ok};
use hotshelf_core::{Error, Moment};
use hotshelf_wire::Endpoint;
use hotshelf_wire::cluster::{Refresh, SlotMap};
use hotshelf_wire::resp::Value;

use super::Cluster;
use crate::connection::{Ended, Manner};
use crate::errors;

impl Cluster {
    /// Gives the map; only the first one of all is waited for, until the deadline.
    pub(super) async fn map(self: &Arc<Self>, deadline: Moment) -> Result<Arc<SlotMap>, Error> {
        if let Some(known) = self.known_map() {
            if known.is_err() {
                // Anew if it ended with an earlier async runtime.
                self.discover();
            }
            return known;
        }
        self.discover();
        let runtime = &self.dialer.runtime;
        let too_late = runtime.sleep(deadline.since(runtime.now()));
        match select(pin!(self.first_map()), too_late).await {
            Either::Left((map, _)) => map,
            // Nothing was sent, so nothing is unknown.
            Either::Right(_) => Err(errors::unavailable("the Cluster can't be reached in time")),
        }
    }

    /// Gives the map as a node tells it now: where no node can say that the map is old,
    /// because commands have no key, an old one would leave nodes out. All are asked at once.
    ///
    /// # Errors
    /// If none of them tells, or tells of nodes that can't be named.
    pub(super) async fn fresh_map(
        self: &Arc<Self>,
        deadline: Moment,
    ) -> Result<Arc<SlotMap>, Error> {
        let known = self.map(deadline).await?;
        let asking = known.primaries().iter().map(|node| Box::pin(self.told_by(node)));
        match select_ok(asking).await {
            Ok((map, _)) => Ok(map),
            Err(trouble) => {
                self.doubt();
                Err(trouble)
            }
        }
    }

    async fn told_by(&self, node: &Endpoint) -> Result<Arc<SlotMap>, Error> {
        let reply = self.ask_for_map(node).await?;
        let map = SlotMap::read(&reply, node).ok().filter(SlotMap::is_whole);
        let map = map.ok_or_else(|| errors::unavailable("a node doesn't name all the others"))?;
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

    /// Gives the map, or says why there is none; `None` if that isn't known yet.
    fn known_map(&self) -> Option<Result<Arc<SlotMap>, Error>> {
        let state = self.lock();
        match state.router.map() {
            _ if state.closed => Some(Err(Ended::Closed.into())),
            Some(map) => Some(Ok(Arc::clone(map))),
            None => state.trouble.clone().map(Err),
        }
    }

    /// Takes note that the map may be old.
    pub(super) fn doubt(self: &Arc<Self>) {
        self.lock().router.doubt();
        self.discover();
    }

    /// Lets somebody ask for the map, unless somebody does already.
    pub(super) fn discover(self: &Arc<Self>) {
        let mut state = self.lock();
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
            if self.lock().closed {
                return;
            }
            changed.await;
        }
    }

    /// Asks one node for the map.
    async fn ask_for_map(&self, node: &Endpoint) -> Result<Value, Error> {
        let link = self.link(node)?;
        let mut reply = Err(errors::unavailable("a node doesn't know its Cluster"));
        for command in SlotMap::ask() {
            reply = link.ask(&command.into(), Manner::Plain, self.dialer.deadline()).await;
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

    /// Keeps the outcome, and lets go of links to nodes that are gone.
    fn learn(&self, node: &Endpoint, reply: Result<Value, Error>) {
        let mut state = self.lock();
        let now = self.dialer.runtime.now();
        let learned = state.router.answered(node, reply.as_ref().ok(), now);
        let mut gone = Vec::new();
        if learned.is_ok() {
            state.trouble = None;
            let map = state.router.map().cloned();
            let is_needed = |node: &Endpoint| map.iter().any(|map| map.primaries().contains(node));
            gone.extend(state.links.extract_if(|node, _| !is_needed(node)));
        } else {
            let cause = reply.err().unwrap_or_else(|| {
                errors::unavailable("a node doesn't say who owns which slot: is it a Cluster?")
            });
            tracing::warn!(%node, error = %cause, "can't learn the slots of the Cluster");
            // Those who wait for the first map need not wait for the second round.
            if state.router.has_asked_all() {
                state.trouble = Some(cause);
            }
        }
        drop(state);
        // Calls that are on their way on them still end in order: they hold them, too.
        drop(gone);
        self.changed.notify(usize::MAX);
    }
}

/// Asks for the map for as long as it is doubted.
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
                    let reply = self.cluster.ask_for_map(&node).await;
                    self.cluster.learn(&node, reply);
                }
                Step::Wait(until) => {
                    let closed = pin!(self.cluster.closed());
                    select(runtime.sleep(until.since(runtime.now())), closed).await;
                }
            }
        }
    }

    /// Says what to do about the map. With nothing to do, the discovery has ended: in one
    /// step, so that no doubt falls between.
    fn next_step(&mut self) -> Option<Step> {
        let mut state = self.cluster.lock();
        let now = self.cluster.dialer.runtime.now();
        match state.router.refresh(now) {
            _ if state.closed => {}
            Refresh::Ask(node) => return Some(Step::Ask(node)),
            Refresh::Wait(until) => return Some(Step::Wait(until)),
            Refresh::Rest => {}
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
    /// An async runtime that ends takes its tasks along.
    fn drop(&mut self) {
        if !self.ended {
            let mut state = self.cluster.lock();
            state.discovering = false;
            state.router.interrupted();
        }
    }
}
