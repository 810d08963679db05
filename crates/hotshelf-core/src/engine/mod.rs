//! Flights and tickets: who loads, who waits, who is given which value.
//!
//! A caller that finds nothing opens a *flight* for its key, or joins the one that is
//! open. The caller that opens it leads: it asks the backend for the right to fill
//! ([`Backend::acquire`]), runs its loader in its own task, and fills. Those that joined
//! wait, and are given the value where that is safe:
//!
//! - **The freshness rule.** A reply of the backend is valid only for callers that were
//!   waiting when its request was sent. A flight is therefore sealed before its fill is
//!   sent, and callers that come later open another.
//! - **A fill that was refused** (the key was invalidated meanwhile) gives the value to
//!   the leader and to those who came before the loader began. So does a loader's error:
//!   it, too, may tell of a past that is over. Those who came later go on together, with
//!   one of them in the lead.
//! - **A leader that is cancelled** hands the flight, with its lease, over to the joiner
//!   that has waited longest, and that one runs its own loader. What the cancelled leader
//!   had read is discarded.
//!
//! An engine future holds no socket and no lock while it waits, and may be dropped at
//! any point: what it had begun is finished or undone in the background.

mod call;
mod cleanup;
mod entry;
mod flight;
mod insert;
mod lease;
mod outcome;
mod read;
mod renewal;
mod take;
mod ticket;
mod write_guard;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Backend;
use crate::context::CacheContext;
use crate::error::Error;
use crate::gate::{Gate, LocalState};
use crate::key::{Pattern, WireKey};
use crate::outage::within;
use crate::runtime::Runtime;
use crate::stats::Counter;

pub(crate) use call::Call;
use cleanup::finish_even_if_dropped;
use flight::{Flights, Joined, Outcome};
pub(crate) use insert::{Insert, WriteOptions};
pub(crate) use outcome::Occupant;
pub use outcome::{Miss, MissReason, ReadOutcome, Value};
pub use ticket::Filled;
pub(crate) use ticket::Ticket;
pub(crate) use write_guard::WriteGuard;
pub use write_guard::Written;

/// How long a lease lasts by default unless it is renewed, which happens every third of it.
pub const LEASE: Duration = Duration::from_secs(5);

/// The engine of one store; a cheap handle.
#[derive(Clone)]
pub(crate) struct Engine {
    shared: Arc<EngineShared>,
}

pub(crate) struct EngineShared {
    pub(crate) gate: Gate,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) flights: Arc<Flights>,
    /// How long a lease lasts unless it is renewed.
    pub(crate) lease: Duration,
}

/// A loader's error that the callers of a flight share.
pub type SharedError = Arc<dyn Any + Send + Sync>;

/// The result of [`Engine::acquire`].
#[derive(Debug)]
pub(crate) enum Acquisition {
    /// A value that another caller loaded, here or in another process.
    Hit(Value),
    /// The right, and the duty, to load.
    Lead(Ticket),
    /// The loader of another caller failed with this error.
    Failed(SharedError),
    /// The other caller took too long: load without storing.
    TimedOut,
}

impl Engine {
    /// Creates an engine on a backend. Its leases last for `lease` unless they are renewed.
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        runtime: Arc<dyn Runtime>,
        lease: Duration,
    ) -> Self {
        let flights = Arc::new(Flights::default());
        let local = vec![Arc::clone(&flights) as Arc<dyn LocalState>];
        let gate = Gate::new(backend, Arc::clone(&runtime), local);
        Self { shared: Arc::new(EngineShared { gate, runtime, flights, lease }) }
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    pub(crate) fn runtime(&self) -> &dyn Runtime {
        &*self.shared.runtime
    }

    /// Returns how long leases last unless they are renewed.
    pub(crate) fn lease(&self) -> Duration {
        self.shared.lease
    }

    /// Joins the flight for a key, or leads it, after the caller has missed.
    ///
    /// Costs no round trip for a caller that joins; a leader pays one, and more only
    /// while another process holds the lease or if it goes on for one that was cancelled.
    ///
    /// # Cancel safety
    /// May be dropped at any point. A leader's flight is handed over to a waiting caller.
    pub(crate) async fn acquire(&self, call: Call<'_>, miss: Miss) -> Acquisition {
        loop {
            let leadership = match self.shared.flights.join(&self.shared, call) {
                Joined::Leads(leadership) => leadership,
                Joined::Full(leadership) => return Acquisition::Lead(Ticket::begin(leadership)),
                Joined::Waits(joiner) => {
                    let outcome = match call.join_timeout {
                        None => joiner.await,
                        Some(limit) => match within(self.runtime(), limit, joiner).await {
                            Some(outcome) => outcome,
                            None => return Acquisition::TimedOut,
                        },
                    };
                    match outcome {
                        Some(Outcome::Value(value)) => {
                            call.count(Counter::Coalesced);
                            return Acquisition::Hit(value);
                        }
                        Some(Outcome::Failed(error)) => return Acquisition::Failed(error),
                        Some(Outcome::Lead(leadership)) => leadership,
                        None => continue,
                    }
                }
            };
            return lease::lead(call, leadership, miss).await;
        }
    }

    /// Asks for the right to fill a key by hand, before the caller reads its source.
    ///
    /// Callers share what is filled only once it is stored. Costs one round trip, or two if
    /// there is an entry. It doesn't wait: while another caller holds the lease, the ticket
    /// can't store.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub(crate) async fn ticket(&self, call: Call<'_>) -> Ticket {
        lease::ticket(call, &self.shared).await
    }

    /// Removes entries. Once it has answered `Ok`, no later call is given an older value.
    ///
    /// # Errors
    /// The backend's own: then the entries may still be there.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub(crate) async fn invalidate(
        &self,
        cache: &Arc<CacheContext>,
        keys: Vec<WireKey>,
    ) -> Result<u64, Error> {
        let (shared, cache) = (Arc::clone(&self.shared), Arc::clone(cache));
        let invalidation = async move { shared.gate.invalidate(&cache, &keys).await };
        finish_even_if_dropped(&self.shared.runtime, invalidation).await
    }

    /// Forgets the versions of tags: entries that carry one of them are misses from then on.
    ///
    /// Costs one round trip, no matter how many entries there are.
    ///
    /// # Errors
    /// The backend's own: then the entries may still be hits.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub(crate) async fn invalidate_tags(
        &self,
        cache: Option<&Arc<CacheContext>>,
        tags: Vec<WireKey>,
    ) -> Result<(), Error> {
        let (shared, cache) = (Arc::clone(&self.shared), cache.cloned());
        let invalidation =
            async move { shared.gate.invalidate_tags(cache.as_deref(), &tags).await };
        finish_even_if_dropped(&self.shared.runtime, invalidation).await
    }

    /// Removes all entries whose key matches, by a scan of the whole backend.
    ///
    /// # Errors
    /// The backend's own: then some of the entries may still be there.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub(crate) async fn invalidate_matching(
        &self,
        cache: &Arc<CacheContext>,
        pattern: Pattern,
    ) -> Result<u64, Error> {
        let (shared, cache) = (Arc::clone(&self.shared), Arc::clone(cache));
        let invalidation = async move { shared.gate.invalidate_matching(&cache, &pattern).await };
        finish_even_if_dropped(&self.shared.runtime, invalidation).await
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Engine").field("backend", &self.shared.gate).finish()
    }
}
