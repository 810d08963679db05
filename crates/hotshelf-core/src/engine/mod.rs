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
mod lease;
mod outcome;
mod read;
mod renewal;
mod take;
mod ticket;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Backend;
use crate::gate::{Gate, LocalState};
use crate::outage::within;
use crate::runtime::Runtime;
use crate::stats::Counter;

pub(crate) use call::Call;
pub(crate) use cleanup::{finish_even_if_dropped, release};
pub(crate) use entry::Inspected;
use flight::{Flights, Joined, Outcome};
pub(crate) use lease::ticket;
pub(crate) use outcome::Occupant;
pub use outcome::{Miss, MissReason, ReadOutcome, Value};
pub(crate) use renewal::{renew, renewing};
pub(crate) use take::{Granted, Insert, Wanted, take_over};
pub use ticket::Filled;
pub(crate) use ticket::Ticket;

/// How long a lease lasts by default unless it is renewed, which happens every third of it.
pub const LEASE: Duration = Duration::from_secs(5);

/// The engine of one store.
pub(crate) struct Engine {
    pub(crate) gate: Gate,
    pub(crate) runtime: Arc<dyn Runtime>,
    flights: Arc<Flights>,
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
    ) -> Arc<Self> {
        let flights = Arc::new(Flights::default());
        let local = vec![Arc::clone(&flights) as Arc<dyn LocalState>];
        let gate = Gate::new(backend, Arc::clone(&runtime), local);
        Arc::new(Self { gate, runtime, flights, lease })
    }

    /// Joins the flight for a key, or leads it, after the caller has missed.
    ///
    /// Costs no round trip for a caller that joins; a leader pays one, and more only
    /// while another process holds the lease or if it goes on for one that was cancelled.
    ///
    /// # Cancel safety
    /// May be dropped at any point. A leader's flight is handed over to a waiting caller.
    pub(crate) async fn acquire(self: &Arc<Self>, call: Call<'_>, miss: Miss) -> Acquisition {
        loop {
            let leadership = match self.flights.join(self, call) {
                Joined::Leads(leadership) => leadership,
                Joined::Full(leadership) => return Acquisition::Lead(Ticket::begin(leadership)),
                Joined::Waits(joiner) => {
                    let outcome = match call.join_timeout {
                        None => joiner.await,
                        Some(limit) => match within(&*self.runtime, limit, joiner).await {
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
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Engine").field("backend", &self.gate).finish()
    }
}
