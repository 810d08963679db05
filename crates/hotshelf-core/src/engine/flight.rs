//! Flights: one load of one key, and the callers that share it.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use foldhash::fast::RandomState;
use futures_channel::oneshot;

use super::call::{Call, Identity};
use super::cleanup::release;
use super::held::Hold;
use super::leader::{LeaderState, LeaderWaker, Led, Turn};
use super::outcome::{Occupant, Stale, Usable, Value};
use super::{Engine, Rejects, SharedError};
use crate::backend::{TagVersion, Token};
use crate::context::CacheContext;
use crate::gate::{Change, LocalState};
use crate::key::{Pattern, WireKey};
use crate::outage::Budget;
use crate::runtime::Runtime;
use crate::stats::Counter;
use crate::sync::{Mutex, MutexGuard};
use crate::tag::Tags;

/// The number of locks that the open flights are distributed over.
const SHARDS: usize = 64;

/// The open flights of a store.
///
/// A flight is in this map exactly as long as it can be joined. Locks are taken in the order
/// shard, flight, and neither is held when a caller is woken.
pub(crate) struct Flights {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

/// A key has one flight for each identity that loads it: nearly always one.
type Shard = HashMap<WireKey, Vec<Arc<Flight>>, RandomState>;

pub(crate) struct Flight {
    pub(crate) key: WireKey,
    /// The cache of the caller that opened the flight, and the tags that its value carries.
    pub(crate) cache: Arc<CacheContext>,
    pub(crate) tags: Arc<Tags>,
    identity: Identity,
    state: Mutex<State>,
    pub(crate) leader: LeaderState,
}

#[derive(Default)]
struct State {
    /// The ticket number that the next joiner gets.
    next: TicketNumber,
    /// The waiters, in the order in which they joined.
    waiting: BTreeMap<TicketNumber, Waiter>,
    /// The lease that the leader has requested. A caller that takes it for lost revokes it.
    requested: Option<Token>,
}

/// A position in the order in which callers joined a flight.
///
/// Compared with the number that was next when a request was sent or a loader began, it tells
/// whether a caller was waiting at that time.
pub(crate) type TicketNumber = u64;

struct Waiter {
    sender: oneshot::Sender<Outcome>,
    /// Whether the caller only accepts values from a loader that began after it joined.
    fresh: bool,
    /// Whether it accepts a negative.
    takes_absent: bool,
    /// Whether it accepts that a load has failed elsewhere.
    backs_off: bool,
    /// The type of the errors that it accepts.
    errors: TypeId,
}

impl Waiter {
    /// Returns the outcome for a waiter that may get a value, if it accepts it.
    fn value(&self, value: &Value) -> Option<Outcome> {
        let accepts = self.takes_absent || matches!(value, Value::Present(_));
        accepts.then(|| Outcome::Value(value.clone()))
    }
}

/// The message that ends a waiter's wait.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The flight's value.
    Value(Value),
    /// What is served instead of the loader's error.
    Instead(Usable),
    /// The loader's error.
    Failed(SharedError, Rejects),
    /// A load has failed elsewhere, and isn't repeated for this time.
    BackingOff(Duration),
    /// The waiter becomes the leader: the previous one was cancelled, or ended with a result
    /// that the remaining waiters must not get.
    Lead(Leadership),
}

/// The role of a caller that joined.
pub(crate) enum Joined {
    Leads(Leadership),
    Waits(Joiner),
    /// Too many callers wait already: the caller leads a flight that cannot be joined.
    Full(Leadership),
}

/// What an open flight gives, or the leadership of a new one.
enum FoundOrOpened<R> {
    Found(R),
    Opened(Leadership),
}

impl Default for Flights {
    fn default() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, hasher: RandomState::default() }
    }
}

impl Flights {
    /// Joins the open flight of a key, or opens one.
    pub(crate) fn join(&self, engine: &Arc<Engine>, call: Call<'_>) -> Joined {
        let joins = |flight: &Arc<Flight>| match Joiner::new(flight, call) {
            Some(joiner) => Joined::Waits(joiner),
            None => Joined::Full(Leadership::alone(engine, call)),
        };
        match self.find_or_open(engine, call, joins) {
            FoundOrOpened::Found(joined) => joined,
            FoundOrOpened::Opened(leadership) => Joined::Leads(leadership),
        }
    }

    /// Opens a flight for a key, unless one is open.
    pub(crate) fn open(&self, engine: &Arc<Engine>, call: Call<'_>) -> Option<Leadership> {
        match self.find_or_open(engine, call, |_| ()) {
            FoundOrOpened::Found(()) => None,
            FoundOrOpened::Opened(leadership) => Some(leadership),
        }
    }

    /// Returns what the open flight of a key gives; opens one if there is none, and returns its
    /// leadership.
    fn find_or_open<R>(
        &self,
        engine: &Arc<Engine>,
        call: Call<'_>,
        found: impl FnOnce(&Arc<Flight>) -> R,
    ) -> FoundOrOpened<R> {
        let mut shard = self.shard(call.key);
        let flights = shard.entry(call.key.clone()).or_default();
        let identity = call.identity();
        let same = |flight: &&Arc<Flight>| {
            flight.identity == identity && flight.tags.ids() == call.tags.ids()
        };
        if let Some(flight) = flights.iter().find(same) {
            return FoundOrOpened::Found(found(flight));
        }
        let leadership = Leadership::alone(engine, call);
        flights.push(Arc::clone(&leadership.flight));
        FoundOrOpened::Opened(leadership)
    }

    /// Seals the flights of a key.
    fn seal(&self, key: &WireKey) {
        self.shard(key).remove(key);
    }

    /// Seals the flights of all matching keys.
    fn seal_matching(&self, pattern: &Pattern) {
        for shard in &self.shards {
            shard.lock().retain(|key, _| !pattern.matches(key));
        }
    }

    /// Removes the first waiter from a flight, or seals the flight if there are no waiters.
    /// Both in one step, so that no caller joins a flight without a leader. Returns `None` for a
    /// leader that has lost the flight, too.
    fn successor_or_seal(&self, flight: &Arc<Flight>, turn: Turn) -> Option<Waiter> {
        let mut shard = self.shard(&flight.key);
        let mut state = flight.state.lock();
        if flight.leader.turn() != turn {
            return None;
        }
        let successor = state.waiting.pop_first();
        drop(state);
        if successor.is_none() {
            remove(&mut shard, flight);
        }
        successor.map(|(_, waiter)| waiter)
    }

    fn shard(&self, key: &WireKey) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(key) as usize;
        self.shards[hash % SHARDS].lock()
    }
}

impl LocalState for Flights {
    /// Seals the flights of removed keys, since new callers began after the removal.
    ///
    /// Flights continue when tags change: their fill verifies the versions that were captured
    /// before the load. They also continue when their lease is taken over: their fill is
    /// refused.
    fn forget(&self, change: &Change<'_>) {
        match change {
            Change::Keys(keys) => keys.iter().for_each(|key| self.seal(key)),
            Change::Matching(pattern) => self.seal_matching(pattern),
            Change::Tags(_) | Change::Written(_) => {}
        }
    }
}

fn remove(shard: &mut Shard, flight: &Arc<Flight>) {
    if let Some(flights) = shard.get_mut(&flight.key) {
        flights.retain(|open| !Arc::ptr_eq(open, flight));
        if flights.is_empty() {
            shard.remove(&flight.key);
        }
    }
}

/// A waiting caller. Dropping it leaves the queue.
pub(crate) struct Joiner {
    receiver: oneshot::Receiver<Outcome>,
    flight: Arc<Flight>,
    number: TicketNumber,
}

impl Joiner {
    /// Joins a flight, unless its queue is full.
    fn new(flight: &Arc<Flight>, call: Call<'_>) -> Option<Self> {
        let mut state = flight.state.lock();
        if state.waiting.len() >= call.cache.options.max_waiters {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let number = state.next;
        state.next += 1;
        let Call { takes_absent, backs_off, errors, .. } = call;
        let waiter = Waiter { sender, fresh: call.reload, takes_absent, backs_off, errors };
        state.waiting.insert(number, waiter);
        drop(state);
        Some(Self { receiver, flight: Arc::clone(flight), number })
    }

    /// Returns how long the leader may go on without being polled; `None` if it is lost.
    pub(crate) fn lost_in(
        &self,
        runtime: &dyn Runtime,
        wait_timeout: Duration,
    ) -> Option<Duration> {
        self.flight.leader.lost_in(runtime, wait_timeout)
    }

    /// Takes the flight from a leader that was woken and is not polled. Returns `None` if the
    /// caller was just given an outcome.
    pub(crate) fn take_over(&self, engine: &Arc<Engine>, call: Call<'_>) -> Option<Leadership> {
        let flight = &self.flight;
        let mut state = flight.state.lock();
        let (runtime, wait_timeout) = (&*engine.runtime, call.cache.options.wait_timeout);
        if flight.leader.lost_in(runtime, wait_timeout).is_some() {
            return None;
        }
        state.waiting.remove(&self.number)?;
        let (turn, revoked) = (flight.leader.next_turn(), state.requested.take());
        drop(state);
        call.count(Counter::HandedOver);
        let mut leadership = Leadership::of(engine, Arc::clone(flight), call);
        leadership.turn = turn;
        leadership.revoked = revoked;
        Some(leadership)
    }
}

impl Future for Joiner {
    /// `None` if the flight ended without sending an outcome, which the `Drop` of
    /// [`Leadership`] prevents.
    type Output = Option<Outcome>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Outcome>> {
        Pin::new(&mut self.receiver).poll(context).map(Result::ok)
    }
}

impl Drop for Joiner {
    fn drop(&mut self) {
        // An outcome that was sent but not received, in particular leadership, is dropped with
        // the receiver after this, and goes to the next in the queue.
        let waiter = self.flight.state.lock().waiting.remove(&self.number);
        drop(waiter);
    }
}

/// A granted lease.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) token: Token,
    /// The backend's clock when it was granted, in milliseconds.
    pub(crate) granted_at: u64,
    /// The versions that the flight's tags had before the loader began.
    pub(crate) tags: Vec<TagVersion>,
    /// The owner of the entry when the lease was granted. `None` if the caller hadn't read the
    /// key: an untracked entry may exist.
    pub(crate) occupant: Option<Occupant>,
    /// Whether the entry that the caller had seen was still stored then.
    pub(crate) is_over_seen: bool,
    /// Keeps it on the list of the process.
    pub(crate) _hold: Arc<Hold>,
}

/// The duty to end a flight. Dropping it hands the flight over.
pub(crate) struct Leadership {
    pub(crate) engine: Arc<Engine>,
    pub(crate) flight: Arc<Flight>,
    pub(crate) lease: Option<Lease>,
    /// The remaining time that the leader may wait for the backend.
    pub(crate) budget: Budget,
    /// The lease of a leader that was taken for lost.
    pub(crate) revoked: Option<Token>,
    /// The stale entry that the request for the lease has found, if the call hadn't seen it.
    pub(crate) found: Option<Box<Stale>>,
    turn: Turn,
    completed: bool,
}

impl Leadership {
    /// Leads a flight that cannot be joined.
    pub(crate) fn alone(engine: &Arc<Engine>, call: Call<'_>) -> Self {
        let flight = Arc::new(Flight {
            key: call.key.clone(),
            cache: Arc::clone(call.cache),
            tags: Arc::clone(call.tags),
            identity: call.identity(),
            state: Mutex::default(),
            leader: LeaderState::default(),
        });
        Self::of(engine, flight, call)
    }

    fn of(engine: &Arc<Engine>, flight: Arc<Flight>, call: Call<'_>) -> Self {
        Self {
            engine: Arc::clone(engine),
            flight,
            lease: None,
            budget: call.budget,
            revoked: None,
            found: None,
            turn: 0,
            completed: false,
        }
    }

    /// Notes a lease that is about to be requested.
    pub(crate) fn requests(&self, token: Token) {
        let mut state = self.flight.state.lock();
        if self.is_current() {
            state.requested = Some(token);
        }
    }

    /// Returns `false` if a joiner has taken the leader for lost.
    fn is_current(&self) -> bool {
        self.flight.leader.turn() == self.turn
    }

    /// Returns the waker with which the leader's futures are polled.
    pub(crate) fn waker(&self) -> Arc<LeaderWaker> {
        let led = Led::One(Arc::clone(&self.flight), self.turn);
        LeaderWaker::new(led, &self.engine.runtime)
    }

    /// Returns the flight, and the leader's turn in it.
    pub(crate) fn led(&self) -> (Arc<Flight>, Turn) {
        (Arc::clone(&self.flight), self.turn)
    }

    /// Returns the number of the next joiner. Callers with a lower number are already waiting.
    pub(crate) fn mark(&self) -> TicketNumber {
        self.flight.state.lock().next
    }

    /// Seals the flight, before its fill is sent.
    pub(crate) fn seal(&self) {
        let mut shard = self.engine.flights.shard(&self.flight.key);
        if self.is_current() {
            remove(&mut shard, &self.flight);
        }
    }

    /// Releases the lease, if there is one, and that of a leader that was taken for lost.
    pub(crate) fn release_lease(&mut self) {
        let own = self.lease.take().map(|lease| lease.token);
        let tokens = own.into_iter().chain(self.revoked.take());
        let leases: Vec<_> = tokens.map(|token| (self.flight.key.clone(), token)).collect();
        if !leases.is_empty() {
            release(&self.engine, &self.flight.cache, leases);
        }
    }

    /// Ends the flight with a value from the backend, for the callers that were waiting at
    /// `mark`.
    ///
    /// Callers that require a fresh value don't get it.
    pub(crate) fn complete_found(self, mark: TicketNumber, value: &Value) {
        self.complete(|number, waiter| {
            (number < mark && !waiter.fresh).then(|| waiter.value(value))?
        });
    }

    /// Ends the flight with what is served instead of its error, for the callers that were waiting
    /// at `mark`.
    pub(crate) fn complete_instead(self, mark: TicketNumber, usable: &Usable) {
        self.complete(|number, waiter| {
            let takes = waiter.takes_absent || !usable.value.is_absent();
            (number < mark && !waiter.fresh && takes).then(|| Outcome::Instead(usable.clone()))
        });
    }

    /// Ends the flight with a value that was stored, for all waiters.
    pub(crate) fn complete_stored(mut self, began: TicketNumber, value: &Value) {
        self.lease = None;
        self.complete(|number, waiter| {
            (number < began || !waiter.fresh).then(|| waiter.value(value))?
        });
    }

    /// Ends the flight with a value that was not stored, for the callers that joined before
    /// the loader began.
    pub(crate) fn complete_loaded(self, began: TicketNumber, value: &Value) {
        self.complete(|number, waiter| (number < began).then(|| waiter.value(value))?);
    }

    /// Ends the flight with the loader's error, for the callers that joined before it began and
    /// expect errors of its type.
    pub(crate) fn complete_failed(
        self,
        began: TicketNumber,
        error: &SharedError,
        rejects: Rejects,
    ) {
        let errors = (**error).type_id();
        self.complete(|number, waiter| {
            let accepts = number < began && waiter.errors == errors;
            accepts.then(|| Outcome::Failed(Arc::clone(error), rejects))
        });
    }

    /// Ends the flight with the news that a load has failed elsewhere, for the callers that were
    /// waiting at `mark` and accept it.
    pub(crate) fn complete_backing_off(self, mark: TicketNumber, left: Duration) {
        self.complete(|number, waiter| {
            (number < mark && waiter.backs_off).then_some(Outcome::BackingOff(left))
        });
    }

    /// Sends the outcome to the waiters that may get it.
    ///
    /// The others stay together, and the first of them becomes the leader: all of them joined
    /// before its loader begins, so that one more load serves them all.
    fn complete(mut self, outcome: impl Fn(TicketNumber, &Waiter) -> Option<Outcome>) {
        let mut served = Vec::new();
        let mut state = self.flight.state.lock();
        let waiting = match self.is_current() {
            true => std::mem::take(&mut state.waiting),
            false => BTreeMap::new(),
        };
        for (number, waiter) in waiting {
            match outcome(number, &waiter) {
                Some(outcome) => served.push((waiter, outcome)),
                None => drop(state.waiting.insert(number, waiter)),
            }
        }
        drop(state);
        for (waiter, outcome) in served {
            // The waiter may have been dropped.
            let _ = waiter.sender.send(outcome);
        }
        self.completed = true;
        self.successor().hand_over();
    }

    /// Returns the leadership that continues after this one.
    fn successor(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            flight: Arc::clone(&self.flight),
            lease: self.lease.clone(),
            budget: self.budget,
            revoked: self.revoked,
            found: None,
            turn: self.turn,
            completed: false,
        }
    }

    /// Hands the flight over to the first waiter, and returns `true`. Without waiters, seals
    /// the flight, releases the lease and returns `false`.
    fn hand_over(mut self) -> bool {
        while let Some(successor) = self.engine.flights.successor_or_seal(&self.flight, self.turn) {
            self.flight.leader.handed_over(self.engine.runtime.now());
            match successor.sender.send(Outcome::Lead(self)) {
                Ok(()) => return true,
                Err(Outcome::Lead(back)) => self = back,
                Err(_) => return true,
            }
        }
        self.completed = true;
        self.release_lease();
        false
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        if !self.completed && self.successor().hand_over() {
            self.flight.cache.stats.count(Counter::HandedOver);
        }
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Leadership");
        debug.field("key", &self.flight.key).field("leased", &self.lease.is_some()).finish()
    }
}
