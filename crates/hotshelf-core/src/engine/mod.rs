//! Flights and tickets: which caller loads, which ones wait, and for which value.
//!
//! A caller that misses opens a *flight* for its key, or joins the open one. The caller that
//! opens it is the *leader*: it asks the backend for the lease ([`Backend::acquire`]), runs
//! its loader in its own task, and fills. The *joiners* wait, and get the value if that is
//! safe:
//!
//! - **The freshness rule.** A reply of the backend is valid only for callers that were
//!   waiting when its request was sent. So a flight is sealed before its fill is sent, and
//!   later callers open another one.
//! - **A refused fill.** If the key was invalidated meanwhile, the leader and the callers that
//!   joined before the loader began get the value. The same holds for a loader's error, which
//!   may be outdated too. Later joiners stay together, and one of them becomes the leader.
//! - **A cancelled leader** hands the flight and its lease over to the joiner that has waited
//!   longest, which runs its own loader. What the cancelled leader had read is discarded.
//!
//! An engine future holds no socket and no lock while it waits, and may be dropped at any
//! point: what it had begun is completed or undone in the background.

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

/// The default duration of a lease. It is renewed every third of that.
pub const LEASE: Duration = Duration::from_secs(5);

/// The engine of one store.
pub(crate) struct Engine {
    pub(crate) gate: Gate,
    pub(crate) runtime: Arc<dyn Runtime>,
    flights: Arc<Flights>,
    /// The duration of leases, which are renewed every third of it.
    pub(crate) lease: Duration,
}

/// A loader's error that the callers of a flight share.
pub type SharedError = Arc<dyn Any + Send + Sync>;

/// The result of [`Engine::acquire`].
#[derive(Debug)]
pub(crate) enum AcquireOutcome {
    /// A value that another caller loaded, here or in another process.
    Hit(Value),
    /// The right and the duty to load.
    Lead(Ticket),
    /// The loader of another caller failed with this error.
    Failed(SharedError),
    /// The wait for another caller timed out: load without storing.
    TimedOut,
}

impl Engine {
    /// Creates an engine on a backend, whose leases last for `lease`.
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

    /// Joins the flight of a key, or leads it, after a miss.
    ///
    /// Costs no round trip for a joiner. A leader pays one, and more only while another
    /// process holds the lease, or if it succeeds a cancelled leader.
    ///
    /// # Cancel safety
    /// May be dropped at any point. A leader's flight is handed over to a joiner.
    pub(crate) async fn acquire(self: &Arc<Self>, call: Call<'_>, miss: Miss) -> AcquireOutcome {
        loop {
            let leadership = match self.flights.join(self, call) {
                Joined::Leads(leadership) => leadership,
                Joined::Full(leadership) => return AcquireOutcome::Lead(Ticket::begin(leadership)),
                Joined::Waits(joiner) => {
                    let outcome = match call.join_timeout {
                        None => joiner.await,
                        Some(limit) => match within(&*self.runtime, limit, joiner).await {
                            Some(outcome) => outcome,
                            None => return AcquireOutcome::TimedOut,
                        },
                    };
                    match outcome {
                        Some(Outcome::Value(value)) => {
                            call.count(Counter::Coalesced);
                            return AcquireOutcome::Hit(value);
                        }
                        Some(Outcome::Failed(error)) => return AcquireOutcome::Failed(error),
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
