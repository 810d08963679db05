//! A Cluster: each command goes to the node that owns its slot, and follows where it is
//! told to go.

mod discovery;
mod pipeline;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::Event;
use hotshelf_core::{Error, ErrorKind, Moment};
use hotshelf_wire::cluster::{Redirect, Router, SlotMap};
use hotshelf_wire::resp::Value;
use hotshelf_wire::{Endpoint, slot};

use crate::connection::{Ended, Listener, Manner, Request};
use crate::errors;
use crate::link::{Dialer, Fixed, Link, Place};
use crate::options::Address;

/// How often a command follows where it is told to go.
const REDIRECTIONS: usize = 5;

/// The nodes of a Cluster, a link to each that was needed, and the map of slots.
pub(crate) struct Cluster {
    dialer: Dialer,
    listener: Arc<dyn Listener>,
    state: Mutex<State>,
    /// The map has changed, or couldn't be had.
    changed: Event,
    /// Whose turn it is to execute a command without a key.
    turn: AtomicUsize,
}

struct State {
    router: Router,
    links: HashMap<Endpoint, Arc<Link>>,
    /// Whether somebody is about to ask for the map.
    discovering: bool,
    /// Why there is no map, once every node was asked in vain.
    trouble: Option<Error>,
    closed: bool,
}

/// Where a command goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    node: Endpoint,
    manner: Manner,
}

impl Cluster {
    pub(super) fn new(dialer: Dialer, seeds: Vec<Endpoint>, listener: Arc<dyn Listener>) -> Self {
        let state = State {
            router: Router::new(seeds),
            links: HashMap::new(),
            discovering: false,
            trouble: None,
            closed: false,
        };
        let (state, changed, turn) = (Mutex::new(state), Event::new(), AtomicUsize::new(0));
        Self { dialer, listener, state, changed, turn }
    }

    pub(super) async fn ask(
        self: &Arc<Self>,
        request: &Request,
        deadline: Moment,
    ) -> Result<Value, Error> {
        let map = self.map(deadline).await?;
        let mut target = self.target(&map, request)?;
        for _ in 0..=REDIRECTIONS {
            let link = self.link(&target.node)?;
            let reply = link.ask(request, target.manner, deadline).await;
            match self.redirected(&target.node, &reply) {
                Some(next) => target = next,
                None => return reply,
            }
        }
        Err(going_round())
    }

    pub(super) async fn ask_together(
        self: &Arc<Self>,
        requests: &[Request],
        deadline: Moment,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let map = self.map(deadline).await?;
        let keyed = requests.iter().find(|request| request.command.first_key().is_some());
        let Some(first) = keyed.or(requests.first()) else { return Ok(Vec::new()) };
        let target = self.target(&map, first)?;
        let link = self.link(&target.node)?;
        let replies = link.ask_all(requests.iter(), target.manner, deadline).await?;
        // Redirected or not, none of them was executed if one was: it stays together.
        replies.iter().for_each(|reply| drop(self.redirected(&target.node, reply)));
        Ok(replies)
    }

    /// Gives links to all primaries there are now.
    pub(super) async fn primaries(
        self: &Arc<Self>,
        deadline: Moment,
    ) -> Result<Vec<Arc<Link>>, Error> {
        let map = self.fresh_map(deadline).await?;
        map.primaries().iter().map(|node| self.link(node)).collect()
    }

    pub(super) async fn listening(self: &Arc<Self>) -> Result<(Dialer, Arc<dyn Place>), Error> {
        let map = self.map(self.dialer.deadline()).await?;
        let node = self.any(&map)?;
        Ok((self.dialer.for_listening(), Arc::new(Fixed(Address::Tcp(node.clone())))))
    }

    pub(super) fn is_tracking(&self, key: &[u8]) -> bool {
        let state = self.lock();
        let owner = state.router.map().and_then(|map| map.owner(slot(key)));
        owner.and_then(|owner| state.links.get(owner)).is_some_and(|link| link.is_tracking())
    }

    /// Says where a command is to go, as far as the map tells.
    fn target(self: &Arc<Self>, map: &SlotMap, request: &Request) -> Result<Target, Error> {
        let node = match request.command.slot() {
            None => self.any(map)?,
            Some(slot) => map.owner(slot).ok_or_else(|| {
                self.doubt();
                errors::unavailable("no node of the Cluster serves the key's slot")
            })?,
        };
        Ok(Target { node: node.clone(), manner: Manner::Plain })
    }

    /// Gives a primary for a command without a key: one that is up, by turns.
    fn any<'a>(&self, map: &'a SlotMap) -> Result<&'a Endpoint, Error> {
        let primaries = map.primaries();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn =
            || (0..primaries.len()).map(|step| &primaries[(turn + step) % primaries.len()]);
        let state = self.lock();
        let is_up = |node: &&Endpoint| state.links.get(*node).is_none_or(|link| link.is_up());
        let found = in_turn().find(is_up).or_else(|| in_turn().next());
        found.ok_or_else(|| errors::unavailable("the Cluster has no nodes"))
    }

    /// Says where a command is told to go instead; `None` if its reply is its own. What is
    /// learned of the map on the way is kept.
    fn redirected(
        self: &Arc<Self>,
        node: &Endpoint,
        reply: &Result<Value, Error>,
    ) -> Option<Target> {
        let error = match reply {
            Ok(Value::Error(error)) => error,
            // A node that is gone may have a successor.
            Err(_) => {
                self.doubt();
                return None;
            }
            Ok(_) => return None,
        };
        match Redirect::read(error, node)? {
            Redirect::Moved(slot, owner) => {
                self.lock().router.moved(slot, owner.clone());
                self.discover();
                Some(Target { node: owner, manner: Manner::Plain })
            }
            Redirect::Ask(owner) => Some(Target { node: owner, manner: Manner::Asking }),
            Redirect::Down => {
                self.doubt();
                None
            }
            Redirect::TryAgain => None,
        }
    }

    /// Gives the link to a node.
    fn link(&self, node: &Endpoint) -> Result<Arc<Link>, Error> {
        let mut state = self.lock();
        if state.closed {
            return Err(Ended::Closed.into());
        }
        if let Some(link) = state.links.get(node) {
            return Ok(Arc::clone(link));
        }
        let place = Arc::new(Fixed(Address::Tcp(node.clone())));
        let link = Arc::new(Link::new(self.dialer.clone(), place, Arc::clone(&self.listener)));
        state.links.insert(node.clone(), Arc::clone(&link));
        Ok(link)
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let links = std::mem::take(&mut state.links);
        drop(state);
        links.values().for_each(|link| link.close());
        self.changed.notify(usize::MAX);
    }

    /// No code that could panic half-way runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn going_round() -> Error {
    Error::new(ErrorKind::Moved, "the nodes of the Cluster send the command from one to the other")
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let mut debug = formatter.debug_struct("Cluster");
        debug.field("map", &state.router.map()).field("links", &state.links).finish_non_exhaustive()
    }
}
