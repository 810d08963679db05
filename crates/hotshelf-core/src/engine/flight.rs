//! Flights: one load of one key, and those who wait for it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use foldhash::fast::RandomState;
use futures_channel::oneshot;

use super::budget::Budget;
use super::cleanup::release;
use super::{Call, EngineShared, Format, Identity, SharedError, Standing, Value};
use crate::backend::{TagVersion, Token};
use crate::key::{Pattern, WireKey};
use crate::stats::{Counter, Stats};
use crate::sync::{Mutex, MutexGuard};
use crate::tag::Tags;

/// How many locks share the open flights.
const SHARDS: usize = 64;

/// The open flights of a store.
///
/// A flight is in here exactly as long as it may be joined. Locks are taken in the order
/// shard, flight, and neither is held when a caller is woken.
pub(crate) struct Flights {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

/// A key has one flight for each identity that loads it: nearly always one.
type Shard = HashMap<WireKey, Vec<Arc<Flight>>, RandomState>;

pub(crate) struct Flight {
    pub(crate) key: WireKey,
    pub(crate) stats: Arc<Stats>,
    /// What the flight's value is to carry, and how it is written.
    pub(crate) tags: Tags,
    pub(crate) format: Format,
    identity: Identity,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The place in the queue that the next joiner gets.
    next: Place,
    /// Those who wait, in the order in which they came.
    waiting: BTreeMap<Place, Waiter>,
}

/// A place in the order in which callers joined a flight.
///
/// Comparing it with the place that was next when a request was sent, or a loader began,
/// says who was waiting at that time.
pub(crate) type Place = u64;

struct Waiter {
    sender: oneshot::Sender<Outcome>,
    /// Whether only a loader that began after the caller came is good enough.
    fresh: bool,
}

/// What a waiter is told.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The flight's value.
    Value(Value),
    /// The loader's error.
    Failed(SharedError),
    /// The waiter leads now: the leader was cancelled, or ended with nothing that is
    /// right for those who still wait.
    Lead(Leadership),
}

/// What became of a caller that joined.
pub(crate) enum Joined {
    Leads(Leadership),
    Waits(Joiner),
    /// Too many wait already: the caller leads a flight that nobody joins.
    Full(Leadership),
}

impl Default for Flights {
    fn default() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, hasher: RandomState::default() }
    }
}

impl Flights {
    /// Joins the open flight of a key, or opens one.
    pub(crate) fn join(&self, shared: &Arc<EngineShared>, call: Call<'_>) -> Joined {
        let mut shard = self.shard(call.key);
        let flights = shard.entry(call.key.clone()).or_default();
        let same = |flight: &&Arc<Flight>| {
            flight.identity == call.identity && flight.tags == *call.view.tags
        };
        if let Some(flight) = flights.iter().find(same) {
            return match Joiner::new(flight, call) {
                Some(joiner) => Joined::Waits(joiner),
                None => Joined::Full(Leadership::alone(shared, call)),
            };
        }
        let leadership = Leadership::alone(shared, call);
        flights.push(Arc::clone(&leadership.flight));
        Joined::Leads(leadership)
    }

    /// Closes the flights of these keys to new callers.
    pub(crate) fn seal(&self, keys: &[WireKey]) {
        for key in keys {
            self.shard(key).remove(key);
        }
    }

    /// Closes the flights of all keys that match to new callers.
    pub(crate) fn seal_matching(&self, pattern: &Pattern) {
        for shard in &self.shards {
            lock(shard).retain(|key, _| !pattern.matches(key));
        }
    }

    /// Takes the waiter that came first out of a flight, or closes the flight if there is
    /// none: in one step, so that nobody joins a flight without a leader.
    fn heir_or_seal(&self, flight: &Arc<Flight>) -> Option<Waiter> {
        let mut shard = self.shard(&flight.key);
        let heir = flight.state().waiting.pop_first();
        if heir.is_none() {
            forget(&mut shard, flight);
        }
        heir.map(|(_, waiter)| waiter)
    }

    fn shard(&self, key: &WireKey) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(key) as usize;
        lock(&self.shards[hash % SHARDS])
    }
}

fn forget(shard: &mut Shard, flight: &Arc<Flight>) {
    if let Some(flights) = shard.get_mut(&flight.key) {
        flights.retain(|open| !Arc::ptr_eq(open, flight));
        if flights.is_empty() {
            shard.remove(&flight.key);
        }
    }
}

/// No code that could panic half-way runs under these locks, so that a poisoned one
/// still guards whole data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Flight {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// A caller that waits. Dropping it leaves the queue.
pub(crate) struct Joiner {
    receiver: oneshot::Receiver<Outcome>,
    flight: Arc<Flight>,
    place: Place,
}

impl Joiner {
    /// Queues for a flight, unless as many wait as may.
    fn new(flight: &Arc<Flight>, call: Call<'_>) -> Option<Self> {
        let mut state = flight.state();
        if state.waiting.len() >= call.max_waiters {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let place = state.next;
        state.next += 1;
        state.waiting.insert(place, Waiter { sender, fresh: call.reload });
        drop(state);
        Some(Self { receiver, flight: Arc::clone(flight), place })
    }
}

impl Future for Joiner {
    /// `None` if the flight was lost without a word, which leadership's `Drop` prevents.
    type Output = Option<Outcome>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Outcome>> {
        Pin::new(&mut self.receiver).poll(context).map(Result::ok)
    }
}

impl Drop for Joiner {
    fn drop(&mut self) {
        // What was sent but not received, leadership above all, is dropped with the
        // receiver after this, and goes on to the next in the queue.
        let waiter = self.flight.state().waiting.remove(&self.place);
        drop(waiter);
    }
}

/// The right that a granted token gives.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) token: Token,
    /// Milliseconds of the backend's clock when it was granted.
    pub(crate) granted_at: u64,
    /// The versions that the flight's tags had before the loader began.
    pub(crate) tags: Vec<TagVersion>,
    /// What stood at the key when the lease was granted; `None` if its caller hadn't read the
    /// key: an entry without a trailer may stand there.
    pub(crate) standing: Option<Standing>,
}

/// The duty to end a flight. Dropping it hands the flight over.
pub(crate) struct Leadership {
    pub(crate) shared: Arc<EngineShared>,
    pub(crate) flight: Arc<Flight>,
    pub(crate) lease: Option<Lease>,
    /// What the leader's call may still wait for the backend.
    pub(crate) budget: Budget,
    landed: bool,
}

impl Leadership {
    /// Leads a flight that nobody can join.
    pub(crate) fn alone(shared: &Arc<EngineShared>, call: Call<'_>) -> Self {
        let flight = Arc::new(Flight {
            key: call.key.clone(),
            stats: Arc::clone(call.stats),
            tags: call.view.tags.clone(),
            format: call.view.format,
            identity: call.identity,
            state: Mutex::default(),
        });
        let budget = Budget::new(call.backend_budget);
        Self { shared: Arc::clone(shared), flight, lease: None, budget, landed: false }
    }

    /// Gives the place of the next joiner: whoever has a lower one was waiting before now.
    pub(crate) fn mark(&self) -> Place {
        self.flight.state().next
    }

    /// Closes the flight to new callers, before its fill is sent.
    pub(crate) fn seal(&self) {
        forget(&mut self.shared.flights.shard(&self.flight.key), &self.flight);
    }

    /// Gives the lease up, if there is one.
    pub(crate) fn give_lease_up(&mut self) {
        if let Some(lease) = self.lease.take() {
            let key = self.flight.key.clone();
            release(&self.shared, &self.flight.stats, vec![(key, lease.token)]);
        }
    }

    /// Ends the flight with a value from the backend, for those who had come by `mark`.
    ///
    /// The value may be older than a caller that insists on a fresh one.
    pub(crate) fn land_vouched(self, mark: Place, value: &Value) {
        self.land(|place, fresh| (place < mark && !fresh).then(|| Outcome::Value(value.clone())));
    }

    /// Ends the flight with a value that was stored, for all.
    pub(crate) fn land_stored(mut self, factory: Place, value: &Value) {
        self.lease = None;
        self.land(|place, fresh| {
            (place < factory || !fresh).then(|| Outcome::Value(value.clone()))
        });
    }

    /// Ends the flight with a value that was not stored, for those who came before the
    /// loader began.
    pub(crate) fn land_loaded(self, factory: Place, value: &Value) {
        self.land(|place, _| (place < factory).then(|| Outcome::Value(value.clone())));
    }

    /// Ends the flight with the loader's error, for those who came before it began.
    pub(crate) fn land_failed(self, factory: Place, error: &SharedError) {
        self.land(|place, _| (place < factory).then(|| Outcome::Failed(Arc::clone(error))));
    }

    /// Gives those who wait what is right for them.
    ///
    /// The others stay together, with the one that came first in the lead: all of them
    /// came before its loader begins, so that one more load serves them all.
    fn land(mut self, outcome: impl Fn(Place, bool) -> Option<Outcome>) {
        let mut told = Vec::new();
        let mut state = self.flight.state();
        for (place, waiter) in std::mem::take(&mut state.waiting) {
            match outcome(place, waiter.fresh) {
                Some(outcome) => told.push((waiter, outcome)),
                None => drop(state.waiting.insert(place, waiter)),
            }
        }
        drop(state);
        for (waiter, outcome) in told {
            // A waiter that is gone needs nothing.
            let _ = waiter.sender.send(outcome);
        }
        self.landed = true;
        self.successor().pass_on();
    }

    /// Makes the leadership that goes on after this one.
    fn successor(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            flight: Arc::clone(&self.flight),
            lease: self.lease.clone(),
            budget: self.budget,
            landed: false,
        }
    }

    /// Gives the flight to the waiter that came first, and says whether there was one;
    /// with nobody left, closes the flight and gives the lease up.
    fn pass_on(mut self) -> bool {
        while let Some(heir) = self.shared.flights.heir_or_seal(&self.flight) {
            match heir.sender.send(Outcome::Lead(self)) {
                Ok(()) => return true,
                Err(Outcome::Lead(back)) => self = back,
                Err(_) => return true,
            }
        }
        self.landed = true;
        self.give_lease_up();
        false
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        if !self.landed && self.successor().pass_on() {
            self.flight.stats.count(Counter::HandedOver);
        }
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Leadership");
        debug.field("key", &self.flight.key).field("leased", &self.lease.is_some()).finish()
    }
}
