//! Flights and tickets: who loads, who waits, who is given which value.
//!
//! A caller that finds nothing opens a *flight* for its key, or joins the one that is
//! open. The caller that opens it leads: it asks the backend for the right to fill
//! ([`Backend::acquire`]), runs its loader in its own task, and fills. Those that joined
//! wait, and are given the value where that is right:
//!
//! - **The rule of vouching.** An answer of the backend vouches only for callers that
//!   were waiting when its request was sent. A flight is therefore sealed before its fill
//!   is sent, and callers that come later open another.
//! - **A fill that was refused** (the key was invalidated meanwhile) gives the value to
//!   the leader and to those who came before the loader began. So does a loader's error:
//!   it, too, may tell of a past that is over. Those who came later go on together, with
//!   one of them in the lead.
//! - **A leader that is cancelled** leaves the flight, with its lease, to the joiner that
//!   has waited longest, and that one runs its own loader. What the cancelled leader had
//!   read is thrown away.
//!
//! An engine future holds no socket and no lock while it waits, and may be dropped at
//! any point: what it had begun is finished or undone in the background.

mod budget;
mod claim;
mod cleanup;
mod flight;
mod format;
mod insert;
mod lease;
mod read;
mod renewal;
mod take;
mod ticket;

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::backend::{Backend, Seen};
use crate::error::Error;
use crate::key::{Pattern, WireKey};
use crate::runtime::Runtime;
use crate::stats::{Counter, Stats};
use crate::ttl::Ttl;

pub use claim::{Claim, Settled};
use cleanup::finish_even_if_dropped;
use flight::{Flights, Joined, Outcome};
pub use format::{Foreign, Format};
pub use insert::{Insert, Writing};
pub use read::{Found, View};
pub use take::BATCH;
pub use ticket::{Filled, Ticket};

/// How long a lease lasts by default unless it is renewed, which happens every third of it.
pub const LEASE: Duration = Duration::from_secs(5);

/// The engine of one store; a cheap handle.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<EngineShared>,
}

pub(crate) struct EngineShared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) flights: Flights,
    /// How long a lease lasts unless it is renewed.
    pub(crate) lease: Duration,
}

/// A value that callers share, decoded once.
#[derive(Clone, Debug)]
pub enum Value {
    /// The value itself; its type belongs to the [`Identity`] of the call.
    Present(Arc<dyn Any + Send + Sync>),
    /// The knowledge that there is none.
    Absent,
}

/// A loader's error that the callers of a flight share.
pub type SharedError = Arc<dyn Any + Send + Sync>;

/// What callers must have in common to share a flight: then each of them can use what any
/// of them loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cache, and with it the type of values.
    pub cache: u64,
    /// The type of the loaders' errors.
    pub errors: TypeId,
    /// Whether the knowledge that there is no value answers the call.
    pub takes_absent: bool,
}

/// An entry, judged.
#[derive(Debug)]
pub enum Verdict {
    /// The entry answers the call.
    Hit(Value),
    /// The entry is the cache's own, and is no answer to this call.
    NoAnswer,
    /// The entry is no value of this cache.
    Foreign,
}

/// Judges the values that the engine reads for a call.
pub trait Judge: Sync {
    /// Says what a value, or the absence of one, is worth, and counts what is none of the
    /// cache's.
    fn judge(&self, value: &Bytes, absent: bool) -> Verdict;
}

/// What stands at a key when its lease is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Nothing,
    /// An entry of the same cache, which what is loaded makes outdated.
    Own,
    /// An entry of another cache, or of none.
    Foreign,
}

/// What a caller knows of its key when it turns to [`Engine::acquire`].
#[derive(Clone, Debug)]
pub enum Known {
    /// It has read the key, and found nothing or an entry that was no hit.
    Read(Standing, Seen),
    /// It hasn't read the key and wants a fresh value, whatever stands there.
    Unread,
    /// It couldn't read the key: the backend is in trouble.
    Unreadable,
}

/// A call that found nothing.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The key.
    pub key: &'a WireKey,
    /// The cache that the call belongs to.
    pub identity: Identity,
    /// The tags that the value is to carry, and how entries are written.
    pub view: View<'a>,
    /// The longest time that an entry of the call may live, which its tags have to outlive.
    pub keep: Ttl,
    /// Judges entries that turn up meanwhile.
    pub judge: &'a dyn Judge,
    /// The cache's counters.
    pub stats: &'a Arc<Stats>,
    /// How long to wait for another process's load before loading without storing.
    pub wait_timeout: Duration,
    /// How long the call may still wait for the backend, over all of its requests. What is
    /// under way when that time is over goes on without it.
    pub backend_budget: Duration,
    /// How many callers wait for one flight; those beyond load without storing.
    pub max_waiters: usize,
    /// Whether the value must come from a loader that begins after this call.
    pub reload: bool,
}

/// What [`Engine::acquire`] gives its caller.
#[derive(Debug)]
pub enum Acquisition {
    /// A value that another caller loaded, here or in another process.
    Hit(Value),
    /// The right, and the duty, to load.
    Lead(Ticket),
    /// The loader of another caller failed with this error.
    Failed(SharedError),
}

impl Engine {
    /// Makes an engine on a backend, whose leases last for [`LEASE`].
    pub fn new(backend: Arc<dyn Backend>, runtime: Arc<dyn Runtime>) -> Self {
        Self::with_lease(backend, runtime, LEASE)
    }

    /// Makes an engine whose leases last for `lease` unless they are renewed, which happens
    /// every third of it.
    pub fn with_lease(
        backend: Arc<dyn Backend>,
        runtime: Arc<dyn Runtime>,
        lease: Duration,
    ) -> Self {
        let flights = Flights::default();
        Self { shared: Arc::new(EngineShared { backend, runtime, flights, lease }) }
    }

    /// Gives the backend.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        &*self.shared.backend
    }

    /// Gives the runtime.
    #[must_use]
    pub fn runtime(&self) -> &dyn Runtime {
        &*self.shared.runtime
    }

    /// Joins the flight for a key, or leads it, after the caller has found nothing.
    ///
    /// Costs no round trip for a caller that joins; a leader pays one, and more only
    /// while another process holds the lease or if it goes on for one that was cancelled.
    ///
    /// # Cancel safety
    /// May be dropped at any point. A leader's flight goes to a caller that waits.
    pub async fn acquire(&self, call: Call<'_>, known: Known) -> Acquisition {
        loop {
            let leadership = match self.shared.flights.join(&self.shared, call) {
                Joined::Leads(leadership) => leadership,
                Joined::Full(leadership) => return Acquisition::Lead(Ticket::begin(leadership)),
                Joined::Waits(joiner) => match joiner.await {
                    Some(Outcome::Value(value)) => {
                        call.stats.count(Counter::Coalesced);
                        return Acquisition::Hit(value);
                    }
                    Some(Outcome::Failed(error)) => return Acquisition::Failed(error),
                    Some(Outcome::Lead(leadership)) => leadership,
                    None => continue,
                },
            };
            return lease::lead(call, leadership, known).await;
        }
    }

    /// Asks for the right to fill a key by hand, before the caller reads its source.
    ///
    /// Nobody shares what is filled before it is stored. Costs one round trip, or two if
    /// there is an entry. It doesn't wait: while another holds the lease, the ticket
    /// can't store.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn ticket(&self, call: Call<'_>) -> Ticket {
        lease::ticket(call, &self.shared).await
    }

    /// Removes entries. Once it has answered `Ok`, no later call is given an older value.
    ///
    /// # Errors
    /// The backend's own: then the entries may still stand.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate(&self, keys: Vec<WireKey>) -> Result<u64, Error> {
        let invalidation = invalidate(Arc::clone(&self.shared), keys);
        finish_even_if_dropped(&self.shared.runtime, invalidation).await
    }

    /// Forgets the versions of tags: no entry that carries one of them counts any more.
    ///
    /// Costs one round trip, no matter how many entries there are.
    ///
    /// # Errors
    /// The backend's own: then the entries may still count.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate_tags(&self, tags: Vec<WireKey>) -> Result<(), Error> {
        let backend = Arc::clone(&self.shared.backend);
        let invalidation = async move { backend.invalidate_tags(&tags).await };
        finish_even_if_dropped(&self.shared.runtime, invalidation).await
    }

    /// Removes all entries whose key matches, by a walk over the whole backend.
    ///
    /// # Errors
    /// The backend's own: then some of the entries may still stand.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate_matching(&self, pattern: Pattern) -> Result<u64, Error> {
        let shared = Arc::clone(&self.shared);
        let invalidation = async move {
            shared.flights.seal_matching(&pattern);
            let removed = shared.backend.invalidate_matching(&pattern).await;
            shared.flights.seal_matching(&pattern);
            removed
        };
        finish_even_if_dropped(&self.shared.runtime, invalidation).await
    }
}

async fn invalidate(shared: Arc<EngineShared>, keys: Vec<WireKey>) -> Result<u64, Error> {
    // A flight is closed to new callers before the backend is told, and one that opened
    // meanwhile, on a read sent earlier, once more before this returns.
    shared.flights.seal(&keys);
    let removed = shared.backend.invalidate(&keys).await;
    shared.flights.seal(&keys);
    removed
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Engine").field("backend", &self.shared.backend).finish()
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Call").field("key", &self.key).finish_non_exhaustive()
    }
}
