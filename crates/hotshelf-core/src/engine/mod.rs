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
//! - **A leader that isn't polled** although it was woken is taken for lost: a joiner revokes
//!   its lease and leads instead, so that the late fill is refused.
//! - **A cancelled leader** hands the flight and its lease over to the joiner that has waited
//!   longest, which runs its own loader. What the cancelled leader had read is discarded.
//!
//! An engine future holds no socket and no lock while it waits, and may be dropped at any
//! point: what it had begun is completed or undone in the background.

mod admission;
mod batch;
mod call;
mod cleanup;
mod entry;
mod fill_many;
mod filling;
mod flight;
mod freshness;
mod held;
mod late_tags;
mod leader;
mod lease;
mod local;
mod outcome;
mod read;
mod refresh;
mod renewal;
mod scope;
mod take;
mod ticket;
mod waiting;

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use crate::backend::Backend;
use crate::gate::{Gate, LocalState};
use crate::near::NearOptions;
use crate::runtime::{BoxFuture, Moment, Runtime};
use crate::stats::Counter;
use crate::timeout::{TOLERANCE, Timeout};

use admission::Admission;
pub(crate) use batch::{Answered, lead_many};
pub(crate) use call::Call;
pub(crate) use cleanup::{
    UnusedLeases, begin, drain, finish_even_if_dropped, remove, remove_in_any_case,
};
pub(crate) use entry::{Found, Inspected, version as entry_version};
pub(crate) use fill_many::{fill_many, run_many};
pub(crate) use filling::Filling;
use flight::{Flights, Joined, Joiner, Leadership, Outcome};
pub(crate) use freshness::{Edition, Freshness, Use};
use held::HeldLeases;
pub(crate) use late_tags::LateTags;
pub(crate) use lease::ticket;
pub use outcome::{Miss, MissReason, ReadOutcome, Stale, Value};
pub(crate) use outcome::{Occupant, Usable};
pub(crate) use refresh::{Asked, Claim, Refreshes, ask};
pub(crate) use renewal::{renew, renewing};
pub(crate) use scope::{Keys, computing, is_computing};
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
    pub(crate) held: HeldLeases,
    admission: Admission,
    pub(crate) refreshes: Refreshes,
    /// The duration of leases, which are renewed every third of it.
    pub(crate) lease: Duration,
}

/// A loader's error that the callers of a flight share.
pub type SharedError = Arc<dyn Any + Send + Sync>;

/// What a loader rejects for its callers, together with its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejects {
    Nothing,
    /// Stale values are not served instead of the error.
    StaleValues,
}

/// The result of [`Engine::acquire`].
#[derive(Debug)]
pub(crate) enum AcquireOutcome {
    /// A value that another caller loaded, here or in another process.
    Hit(Value),
    /// The right and the duty to load.
    Lead(Ticket),
    /// A value that the callers are given since the load of one of them failed.
    Instead(Usable),
    /// The loader of another caller failed with this error.
    Failed(SharedError, Rejects),
    /// A load of the key failed elsewhere, and isn't repeated for this time.
    BackingOff(Duration),
    /// The wait for another caller timed out: load without storing.
    TimedOut,
    /// The caller stops waiting.
    LimitReached,
}

impl Engine {
    /// Creates an engine on a backend, whose leases last for `lease`.
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        runtime: Arc<dyn Runtime>,
        lease: Duration,
        near: Option<NearOptions>,
    ) -> Arc<Self> {
        let flights = Arc::new(Flights::default());
        let local = vec![Arc::clone(&flights) as Arc<dyn LocalState>];
        let gate = Gate::new(backend, Arc::clone(&runtime), local, near);
        let (held, admission) = (HeldLeases::default(), Admission::default());
        let refreshes = Refreshes::default();
        Arc::new(Self { gate, runtime, flights, held, admission, refreshes, lease })
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
                Joined::Waits(joiner) => match self.wait(call, joiner).await {
                    Waited::Ended(Some(Outcome::Value(value))) => {
                        call.count(Counter::Coalesced);
                        return AcquireOutcome::Hit(value);
                    }
                    Waited::Ended(Some(Outcome::Instead(usable))) => {
                        return AcquireOutcome::Instead(usable);
                    }
                    Waited::Ended(Some(Outcome::Failed(error, rejects))) => {
                        return AcquireOutcome::Failed(error, rejects);
                    }
                    Waited::Ended(Some(Outcome::BackingOff(left))) => {
                        return AcquireOutcome::BackingOff(left);
                    }
                    Waited::Ended(Some(Outcome::Lead(leadership))) | Waited::Lead(leadership) => {
                        leadership
                    }
                    Waited::Ended(None) => continue,
                    Waited::TimedOut => return AcquireOutcome::TimedOut,
                    Waited::LimitReached => return AcquireOutcome::LimitReached,
                },
            };
            cleanup::adopt_duties(self);
            let waker = leadership.waker();
            // Boxed, so that joiners, of which there are many, need no room for it.
            let mut leading = Box::pin(lease::lead(call, leadership, miss));
            return waker.attend(leading.as_mut()).await;
        }
    }

    /// Waits for the leader of a flight, as long as it goes on when it is woken.
    async fn wait(self: &Arc<Self>, call: Call<'_>, mut joiner: Joiner) -> Waited {
        let (runtime, wait_timeout) = (&*self.runtime, call.cache.options.wait_timeout);
        // A loader that waits for another one may be what that waits for.
        let nested = scope::is_nested().then_some(wait_timeout);
        let mut limit = call.join_timeout.into_iter().chain(nested).min().map(Timeout::new);
        let mut wait_limit = call.wait_limit.map(|wait_limit| runtime.sleep(wait_limit));
        let mut check: Option<(Moment, BoxFuture<'static, ()>)> = None;
        poll_fn(|context| {
            if let Poll::Ready(outcome) = Pin::new(&mut joiner).poll(context) {
                return Poll::Ready(Waited::Ended(outcome));
            }
            if let Some(limit) = &mut limit
                && limit.poll(runtime, context).is_ready()
            {
                return Poll::Ready(Waited::TimedOut);
            }
            if let Some(wait_limit) = &mut wait_limit
                && wait_limit.as_mut().poll(context).is_ready()
            {
                return Poll::Ready(Waited::LimitReached);
            }
            loop {
                let (due, timer) = check.get_or_insert_with(|| {
                    let now = runtime.now();
                    let next = joiner.lost_in(runtime, wait_timeout).unwrap_or(CHECK);
                    (now + next, runtime.sleep(next))
                });
                ready!(timer.as_mut().poll(context));
                // In a process that is too busy to poll this task, the leader may be no better
                // off.
                let was_busy = runtime.now().since(*due) > TOLERANCE;
                check = None;
                if !was_busy && let Some(leadership) = joiner.take_over(self, call) {
                    return Poll::Ready(Waited::Lead(leadership));
                }
            }
        })
        .await
    }
}

/// The pause before a leader that seems lost is checked on again.
const CHECK: Duration = Duration::from_millis(20);

/// The end of a wait for a leader.
enum Waited {
    Ended(Option<Outcome>),
    /// The leader was taken for lost.
    Lead(Leadership),
    TimedOut,
    LimitReached,
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Engine").field("backend", &self.gate).finish()
    }
}
