//! Tickets: the right and the duty to load.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;

use super::admission::{Admitted, Permit};
use super::cleanup::finish_even_if_dropped;
use super::filling::Filling;
use super::flight::{Flight, Leadership, Lease, TicketNumber};
use super::late_tags::tags_unchanged;
use super::outcome::{Occupant, Stale, Usable, Value};
use super::renewal::{renew, renewing};
use super::scope::{Keys, computing};
use super::{Rejects, SharedError};
use crate::backend::{Pause, Stored, Token};
use crate::error::{Error, ErrorKind};
use crate::gate::Removal;
use crate::key::WireKey;
use crate::observe::EventKind;
use crate::outage::OperationKind;
use crate::runtime::Moment;
use crate::stats::Counter;
use crate::tag::{TagStamp, Tags};
use crate::trailer::Trailer;
use crate::ttl::Ttl;

/// The right and the duty to load a value, for its holder and for the callers that wait.
///
/// Dropping it hands the flight over: the caller that has waited longest loads instead.
#[derive(Debug)]
#[must_use = "dropping a ticket makes another caller load"]
pub(crate) struct Ticket {
    pub(super) leadership: Leadership,
    /// Callers with a lower number joined before the loader began.
    pub(super) loader_began: TicketNumber,
    pub(super) began: Moment,
}

/// How long a load takes that is an event.
const SLOW_LOAD: Duration = Duration::from_secs(1);

/// The outcome of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The value was stored.
    Stored,
    /// The key was invalidated or written during the load. Only callers that had joined before
    /// it began get the value.
    Refused,
    /// The value was not stored: the ticket has no lease, the value cannot be stored, or the
    /// backend fails or is too slow for the call. In the last case it may be stored a little
    /// later.
    Unstored,
}

impl Ticket {
    /// Marks the moment after which the source may be read.
    pub(crate) fn begin(leadership: Leadership) -> Self {
        let stats = &leadership.flight.cache.stats;
        stats.count(Counter::Load);
        if leadership.lease.is_none() {
            stats.count(Counter::Degraded);
        }
        let began = leadership.engine.runtime.now();
        Self { loader_began: leadership.mark(), leadership, began }
    }

    /// Returns `true` if an entry was still stored, and not invalidated, when the lease was granted:
    /// the one that the caller had seen.
    pub(crate) fn is_over(&self, tags: &[TagStamp]) -> bool {
        let Leadership { flight, lease, .. } = &self.leadership;
        let Some(lease) = lease.as_ref().filter(|lease| lease.is_over_seen) else { return false };
        // Versions of tags that the call doesn't name were not captured.
        let captured = flight.tags.stamps(&lease.tags);
        tags.iter().all(|tag| captured.contains(tag))
    }

    /// Returns the stale entry that the request for the lease has found, if the call hadn't seen it.
    pub(crate) fn take_found(&mut self) -> Option<Stale> {
        self.leadership.found.take().map(|stale| *stale)
    }

    /// Records how long the loader has run, and returns it. It has ended.
    pub(super) fn load_ended(&self) -> Duration {
        let Leadership { engine, flight, .. } = &self.leadership;
        let time = engine.runtime.now().since(self.began);
        flight.cache.stats.load_times().record(time);
        if time >= SLOW_LOAD {
            engine.gate.events().add(EventKind::SlowLoad {
                cache: flight.cache.namespace.name().to_owned(),
                seconds: time.as_secs_f64(),
            });
        }
        time
    }

    /// Returns the key.
    pub(crate) fn key(&self) -> &WireKey {
        &self.leadership.flight.key
    }

    /// Returns the tags that the value carries.
    pub(crate) fn tags(&self) -> &Arc<Tags> {
        &self.leadership.flight.tags
    }

    /// Lets the tags of the value live for at least another `keep`.
    ///
    /// Costs one round trip, within the call's budget, if there are tags.
    pub(crate) async fn keep_tags(&mut self, keep: Ttl) {
        let (engine, flight) =
            (Arc::clone(&self.leadership.engine), Arc::clone(&self.leadership.flight));
        let capturing = pin!(engine.capture(&flight.cache, &flight.tags, keep));
        // If it fails, the entry ends with its tags.
        drop(self.leadership.budget.spend(&*engine.runtime, capturing).await);
    }

    /// Returns `true` if the ticket holds a lease. Without one the value cannot be stored.
    pub(crate) fn can_store(&self) -> bool {
        self.leadership.lease.is_some()
    }

    /// Returns the owner of the entry, at present or when the lease was granted.
    ///
    /// Costs one round trip, within the call's budget, if the caller hadn't read the key.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub(crate) async fn occupant(&mut self) -> Occupant {
        match &self.leadership.lease {
            Some(Lease { occupant: Some(occupant), .. }) => *occupant,
            Some(Lease { occupant: None, .. }) => {
                let mut budget = self.leadership.budget;
                let runtime = Arc::clone(&self.leadership.engine.runtime);
                let looked = budget.spend(&*runtime, pin!(self.look_for_untracked())).await;
                self.leadership.budget = budget;
                looked.unwrap_or(Occupant::Another)
            }
            None => Occupant::Nobody,
        }
    }

    /// Looks for an untracked entry, which the request for the lease has skipped.
    async fn look_for_untracked(&self) -> Occupant {
        let Leadership { engine, flight, .. } = &self.leadership;
        match engine.gate.read(&flight.cache, std::slice::from_ref(&flight.key)).await {
            Ok(found) => match found.into_iter().flatten().next() {
                Some(raw) if Trailer::find(&raw).is_err() => Occupant::Another,
                Some(_) | None => Occupant::Nobody,
            },
            Err(_) => {
                flight.cache.stats.count(Counter::Error);
                Occupant::Another
            }
        }
    }

    /// Runs a loader in the caller's task, and keeps the lease alive meanwhile.
    ///
    /// # Cancel safety
    /// Dropping it drops the loader.
    pub(crate) async fn run<F: Future>(&self, loader: F) -> F::Output {
        let Leadership { engine, flight, .. } = &self.leadership;
        let loader = pin!(loader);
        let loading = pin!(computing(engine, Keys::Loaded(Arc::clone(flight)), loader));
        let renewing = pin!(renewing(engine, &flight.cache, || self.leases(), loading));
        self.leadership.waker().attend(renewing).await
    }

    /// Keeps the lease alive for as long as it is polled. Never completes. It is for loaders
    /// that cannot be passed to [`Ticket::run`].
    pub(crate) fn keep_alive(&self) -> impl Future<Output = ()> + Send + 'static {
        let Leadership { engine, flight, .. } = &self.leadership;
        renew(Arc::clone(engine), Arc::clone(&flight.cache), self.leases())
    }

    pub(crate) fn leases(&self) -> Vec<(WireKey, Token)> {
        let Leadership { flight, lease, .. } = &self.leadership;
        lease.iter().map(|lease| (flight.key.clone(), lease.token)).collect()
    }

    /// Waits for the permit to fill, if there is a lease, and keeps that alive meanwhile.
    async fn permit(&self) -> Option<Permit> {
        let Leadership { engine, flight, lease, .. } = &self.leadership;
        lease.as_ref()?;
        if let Some(permit) = engine.admission.permit_at_once() {
            return Some(permit);
        }
        // Boxed, as it is rare.
        let mut waiting = Box::pin(engine.admission.permit(&*engine.runtime, Admitted::Fill));
        let renewing = pin!(renewing(engine, &flight.cache, || self.leases(), waiting.as_mut()));
        Some(self.leadership.waker().attend(renewing).await)
    }

    /// Stores the value, or a negative if it is `None`, and shares it with the waiting
    /// callers.
    ///
    /// Costs one round trip.
    ///
    /// # Cancel safety
    /// Once it was sent, the operation completes even if the future is dropped. Before that,
    /// dropping it hands the flight over.
    pub(crate) async fn fill(self, filling: Filling, loaded: Value) -> Filled {
        let load_time = self.load_ended();
        let permit = self.permit().await;
        let Self { leadership, loader_began, .. } = self;
        let (engine, mut budget) = (Arc::clone(&leadership.engine), leadership.budget);
        let (Some(lease), Some(permit)) = (leadership.lease.clone(), permit) else {
            leadership.complete_loaded(loader_began, &loaded);
            return Filled::Unstored;
        };
        let (runtime, flight) = (Arc::clone(&engine.runtime), Arc::clone(&leadership.flight));
        let waker = leadership.waker();
        let cache = Arc::clone(&flight.cache);
        let storing = async move {
            // The backend's answer is valid only for callers that are waiting now.
            leadership.seal();
            let (fill, late) = filling.into_fill(&flight, &lease, load_time);
            let fills = [fill];
            let engine = Arc::clone(&leadership.engine);
            let unchanged = tags_unchanged(&engine, &flight, &lease.tags, &late);
            let (mut answers, unchanged) =
                join(engine.gate.store(&flight.cache, &fills), unchanged).await;
            drop(permit);
            end_filled(leadership, loader_began, answers.pop(), unchanged, &loaded)
        };
        let storing = pin!(finish_even_if_dropped(&runtime, storing));
        let stored = waker.attend(pin!(budget.spend(&*runtime, storing))).await;
        stored.unwrap_or_else(|| {
            engine.gate.timed_out(&cache, OperationKind::Store);
            Filled::Unstored
        })
    }

    /// Shares the value with the callers that joined before the loader began, without storing
    /// it. An outdated entry of the same cache is removed.
    ///
    /// Costs one round trip if there is such an entry, otherwise none.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
    pub(crate) async fn share(self, value: Value) {
        self.load_ended();
        let Self { mut leadership, loader_began, .. } = self;
        let mut budget = leadership.budget;
        let occupant = leadership.lease.as_ref().and_then(|lease| lease.occupant);
        let outdated = occupant == Some(Occupant::ThisCache);
        if !outdated {
            return leadership.complete_loaded(loader_began, &value);
        }
        let runtime = Arc::clone(&leadership.engine.runtime);
        let removing = async move {
            // The lease was removed with the entry.
            let removal = Removal::Keys(vec![leadership.flight.key.clone()]);
            // The lease may be lost, and another process may hold the key: so it is held here, too.
            let cache = &leadership.flight.cache;
            if leadership.engine.gate.remove(Some(cache), &removal).await.is_ok() {
                leadership.lease = None;
            } else {
                leadership.flight.cache.stats.count(Counter::Error);
            }
            leadership.complete_loaded(loader_began, &value);
        };
        budget.spend(&*runtime, pin!(finish_even_if_dropped(&runtime, removing))).await;
    }

    /// Shares the loader's error with the callers that joined before it began.
    pub(crate) fn fail(self, error: &SharedError, rejects: Rejects) {
        self.load_ended();
        self.leadership.flight.cache.stats.count(Counter::LoadError);
        self.leadership.complete_failed(self.loader_began, error, rejects);
    }

    /// Marks the key, so that others don't repeat the failed load for a while, and at the same
    /// time reads its entry again. Returns the value if there is one that the waiting callers may
    /// be given instead of the error; they are. Otherwise shares the error like
    /// [`Ticket::fail`].
    ///
    /// Costs one round trip.
    ///
    /// # Errors
    /// Returns an error if the entry cannot be read.
    ///
    /// # Cancel safety
    /// Once polled, the mark is set even if the future is dropped.
    pub(crate) async fn fail_for_a_while(
        self,
        error: &SharedError,
        pause: Pause,
        takes_stale: bool,
        rejects: Rejects,
    ) -> Result<Option<Usable>, Error> {
        self.load_ended();
        let Self { mut leadership, loader_began, .. } = self;
        let (engine, flight) = (Arc::clone(&leadership.engine), Arc::clone(&leadership.flight));
        let cache = Arc::clone(&flight.cache);
        cache.stats.count(Counter::LoadError);
        let (runtime, mut budget) = (Arc::clone(&engine.runtime), leadership.budget);
        let (error, failing_engine) = (Arc::clone(error), Arc::clone(&engine));
        let failing = async move {
            let engine = failing_engine;
            // The entry is only for callers that are waiting now.
            let mark = leadership.mark();
            let Flight { key, cache, tags, .. } = &*flight;
            let token = leadership.lease.as_ref().map(|lease| lease.token);
            let marking = async {
                match token {
                    Some(token) => engine.gate.fail(cache, key, token, pause).await,
                    None => Ok(()),
                }
            };
            let reading = async {
                match takes_stale {
                    true => engine.usable(cache, key, tags).await,
                    false => Ok(None),
                }
            };
            let (marked, usable) = join(marking, reading).await;
            match marked {
                Ok(()) => leadership.lease = None,
                Err(_) => {
                    cache.stats.count(Counter::Error);
                    leadership.release_lease();
                }
            }
            match &usable {
                Ok(Some(usable)) => leadership.complete_instead(mark, usable),
                Ok(None) | Err(_) => leadership.complete_failed(loader_began, &error, rejects),
            }
            usable
        };
        let failing = pin!(finish_even_if_dropped(&runtime, failing));
        let failed = budget.spend(&*runtime, failing).await;
        failed.unwrap_or_else(|| Err(engine.gate.timed_out(&cache, OperationKind::Read)))
    }
}

/// Ends a flight after its fill was answered.
pub(super) fn end_filled(
    mut leadership: Leadership,
    loader_began: TicketNumber,
    answer: Option<Result<Stored, Error>>,
    tags_unchanged: bool,
    value: &Value,
) -> Filled {
    let stats = Arc::clone(&leadership.flight.cache.stats);
    match answer {
        Some(Ok(Stored::Stored)) if tags_unchanged => {
            leadership.complete_stored(loader_began, value);
            Filled::Stored
        }
        // An entry whose tag was invalidated meanwhile is stored, but never a hit.
        Some(Ok(Stored::Stored | Stored::Refused)) => {
            stats.count(Counter::Refused);
            leadership.lease = None;
            leadership.complete_loaded(loader_began, value);
            Filled::Refused
        }
        // It may have been stored anyway. The release that follows, and the next leader's own
        // token, ensure that nothing older is stored later.
        answer => {
            let too_large =
                matches!(&answer, Some(Err(error)) if error.kind() == ErrorKind::TooLarge);
            stats.count(if too_large { Counter::Unstorable } else { Counter::Error });
            leadership.release_lease();
            leadership.complete_loaded(loader_began, value);
            Filled::Unstored
        }
    }
}
