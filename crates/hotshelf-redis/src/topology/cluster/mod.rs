//! A Cluster: each command goes to the node that owns its slot, and follows redirections.

mod discovery;
mod pipeline;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_listener::Event;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{Error, ErrorKind, Moment};
use hotshelf_wire::cluster::{Redirect, Router, SlotMap};
use hotshelf_wire::resp::Value;
use hotshelf_wire::{Endpoint, slot};

use crate::connection::{CloseReason, Listener, Request, Routing};
use crate::errors;
use crate::link::{Dialer, Fixed, Link, Resolver};
use crate::options::Address;

/// The maximum number of redirections that a command follows.
const REDIRECTIONS: usize = 5;

/// The slot map of a Cluster, and links to the nodes used so far.
pub(crate) struct Cluster {
    dialer: Dialer,
    listener: Arc<dyn Listener>,
    state: Mutex<State>,
    /// Notified when the map has changed or couldn't be fetched.
    changed: Event,
    /// The index of the next primary for a command without a key.
    turn: AtomicUsize,
}

struct State {
    router: Router<Moment>,
    links: HashMap<Endpoint, Arc<Link>>,
    /// Whether a background task is fetching the map.
    discovering: bool,
    /// The last error, once every node has failed.
    failure: Option<Error>,
    /// Whether the last fetch failed, which was logged.
    discovery_fails: bool,
    closed: bool,
}

/// The node that a command is sent to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    node: Endpoint,
    routing: Routing,
}

impl Cluster {
    pub(super) fn new(dialer: Dialer, seeds: Vec<Endpoint>, listener: Arc<dyn Listener>) -> Self {
        let state = State {
            router: Router::new(seeds, dialer.speaks_tls()),
            links: HashMap::new(),
            discovering: false,
            failure: None,
            discovery_fails: false,
            closed: false,
        };
        let (state, changed, turn) = (Mutex::new(state), Event::new(), AtomicUsize::new(0));
        Self { dialer, listener, state, changed, turn }
    }

    pub(super) async fn send(
        self: &Arc<Self>,
        request: &Request,
        timeout: Duration,
    ) -> Result<Value, Error> {
        let map = self.map(timeout).await?;
        let mut target = self.target(&map, request)?;
        for _ in 0..=REDIRECTIONS {
            let link = self.link(&target.node)?;
            let reply = link.send(request, target.routing, timeout).await;
            match self.redirected(&target.node, &reply) {
                Some(next) => target = next,
                None => return reply,
            }
        }
        Err(redirection_loop())
    }

    pub(super) async fn send_together(
        self: &Arc<Self>,
        requests: &[Request],
        timeout: Duration,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let map = self.map(timeout).await?;
        let keyed = requests.iter().find(|request| request.command.first_key().is_some());
        let Some(first) = keyed.or(requests.first()) else { return Ok(Vec::new()) };
        let mut target = self.target(&map, first)?;
        for _ in 0..=REDIRECTIONS {
            let link = self.link(&target.node)?;
            let replies = link.send_all(requests.iter(), Routing::Owner, timeout).await?;
            // A redirection means that none of the commands was executed. They follow to the
            // slot's owner, but not into a slot that is migrating.
            let redirections = replies.iter().map(|reply| self.redirected(&target.node, reply));
            let next = redirections.fold(None, Option::or);
            match next.filter(|next| next.routing == Routing::Owner) {
                Some(next) => target = next,
                None => return Ok(replies),
            }
        }
        Err(redirection_loop())
    }

    /// Returns links to all current primaries.
    pub(super) async fn primaries(
        self: &Arc<Self>,
        timeout: Duration,
    ) -> Result<Vec<Arc<Link>>, Error> {
        let map = self.fresh_map(timeout).await?;
        map.primaries().iter().map(|node| self.link(node)).collect()
    }

    pub(super) async fn listening(self: &Arc<Self>) -> Result<(Dialer, Arc<dyn Resolver>), Error> {
        let map = self.map(self.dialer.timeout()).await?;
        let node = self.next_primary(&map)?;
        Ok((self.dialer.for_listening(), Arc::new(Fixed::node(Address::Tcp(node.clone())))))
    }

    pub(super) async fn listening_for(
        self: &Arc<Self>,
        request: &Request,
        timeout: Duration,
    ) -> Result<(Dialer, Arc<dyn Resolver>), Error> {
        let map = self.map(timeout).await?;
        let node = self.target(&map, request)?.node;
        Ok((self.dialer.for_listening(), Arc::new(Fixed::node(Address::Tcp(node)))))
    }

    /// Returns the link to the node that owns a key's slot, if there is one.
    pub(super) fn owner(&self, key: &[u8]) -> Option<Arc<Link>> {
        let state = self.state.lock();
        let owner = state.router.map()?.owner(slot(key))?;
        state.links.get(owner).cloned()
    }

    /// Returns the node of a command according to the map.
    fn target(self: &Arc<Self>, map: &SlotMap, request: &Request) -> Result<Target, Error> {
        let node = match request.command.slot() {
            None => self.next_primary(map)?,
            Some(slot) => map.owner(slot).ok_or_else(|| {
                self.mark_stale();
                errors::unavailable("no node of the Cluster serves the key's slot")
            })?,
        };
        Ok(Target { node: node.clone(), routing: Routing::Owner })
    }

    /// Returns a primary for a command without a key: the next one that is up.
    fn next_primary<'a>(&self, map: &'a SlotMap) -> Result<&'a Endpoint, Error> {
        let primaries = map.primaries();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn =
            || (0..primaries.len()).map(|step| &primaries[(turn + step) % primaries.len()]);
        let state = self.state.lock();
        let is_up = |node: &&Endpoint| state.links.get(*node).is_none_or(|link| link.is_up());
        let found = in_turn().find(is_up).or_else(|| in_turn().next());
        found.ok_or_else(|| errors::unavailable("the Cluster has no nodes"))
    }

    /// Returns the target of a redirected command; `None` if its reply is final. Updates the
    /// map, or marks it as stale.
    fn redirected(
        self: &Arc<Self>,
        node: &Endpoint,
        reply: &Result<Value, Error>,
    ) -> Option<Target> {
        let error = match reply {
            Ok(Value::Error(error)) => error,
            // A failed node may have been replaced.
            Err(_) => {
                self.mark_stale();
                return None;
            }
            Ok(_) => return None,
        };
        match Redirect::read(error, node)? {
            Redirect::Moved(slot, owner) => {
                self.state.lock().router.moved(slot, owner.clone());
                self.discover();
                Some(Target { node: owner, routing: Routing::Owner })
            }
            Redirect::Ask(owner) => Some(Target { node: owner, routing: Routing::Asking }),
            Redirect::Down => {
                self.mark_stale();
                None
            }
            Redirect::TryAgain => None,
        }
    }

    /// Returns the link to a node.
    fn link(&self, node: &Endpoint) -> Result<Arc<Link>, Error> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(CloseReason::Closed.into());
        }
        if let Some(link) = state.links.get(node) {
            return Ok(Arc::clone(link));
        }
        let resolver = Arc::new(Fixed::node(Address::Tcp(node.clone())));
        let link = Arc::new(Link::new(self.dialer.clone(), resolver, Arc::clone(&self.listener)));
        state.links.insert(node.clone(), Arc::clone(&link));
        Ok(link)
    }

    pub(super) fn abort(&self) {
        let links: Vec<_> = self.state.lock().links.values().cloned().collect();
        links.iter().for_each(|link| link.abort());
    }

    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let links = std::mem::take(&mut state.links);
        drop(state);
        links.values().for_each(|link| link.close());
        self.changed.notify(usize::MAX);
    }
}

fn redirection_loop() -> Error {
    Error::new(
        ErrorKind::Moved,
        "too many redirections: the nodes of the Cluster redirect the command to each other",
    )
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let mut debug = formatter.debug_struct("Cluster");
        debug.field("map", &state.router.map()).field("links", &state.links).finish_non_exhaustive()
    }
}
