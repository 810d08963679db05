//! Tickets: the right, and the duty, to load.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join;

use super::cleanup::finish_even_if_dropped;
use super::flight::{Leadership, Place};
use super::format::{FillStamp, version};
use super::renewal::{renew, renewing};
use super::{SharedError, Standing, Value};
use crate::backend::{Backend, Fill, Stored, TagVersion, Token};
use crate::error::{Error, ErrorKind};
use crate::key::WireKey;
use crate::runtime::Moment;
use crate::stats::Counter;
use crate::trailer::Trailer;
use crate::ttl::Ttl;

/// The right, and the duty, to load a value for oneself and those who wait.
///
/// Dropping it hands the flight over: the caller that has waited longest loads instead.
#[derive(Debug)]
#[must_use = "dropping a ticket makes another caller load"]
pub struct Ticket {
    leadership: Leadership,
    /// Callers with a lower place came before the loader began.
    factory: Place,
    began: Moment,
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// It stands in the backend.
    Stored,
    /// It was invalidated while it was being loaded, and is good for the callers who had
    /// come before.
    Refused,
    /// The ticket has no lease, or the backend is in trouble or too slow for the call: then
    /// it may be stored a little later.
    Unstored,
}

impl Ticket {
    /// Marks the moment from which on a value may be read from the source.
    pub(crate) fn begin(leadership: Leadership) -> Self {
        let stats = &leadership.flight.stats;
        stats.count(Counter::Load);
        if leadership.lease.is_none() {
            stats.count(Counter::Degraded);
        }
        let began = leadership.shared.runtime.now();
        Self { factory: leadership.mark(), leadership, began }
    }

    /// Says whether the value can be stored. Without a lease it can't.
    #[must_use]
    pub fn can_store(&self) -> bool {
        self.leadership.lease.is_some()
    }

    /// Says what stands at the key, or stood there when the lease was granted.
    ///
    /// Costs one round trip for a caller that hadn't read the key.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn standing(&self) -> Standing {
        match &self.leadership.lease {
            Some(lease) => match lease.standing {
                Some(standing) => standing,
                None => self.look().await,
            },
            None => Standing::Nothing,
        }
    }

    /// Looks for an entry that the request for the lease has passed over.
    async fn look(&self) -> Standing {
        let Leadership { shared, flight, .. } = &self.leadership;
        match shared.backend.read(std::slice::from_ref(&flight.key)).await {
            Ok(found) => match found.into_iter().flatten().next() {
                Some(raw) if Trailer::find(&raw).is_none() => Standing::Foreign,
                Some(_) | None => Standing::Nothing,
            },
            Err(_) => {
                flight.stats.count(Counter::Error);
                Standing::Foreign
            }
        }
    }

    /// Runs a loader in the caller's own task and keeps the lease alive meanwhile.
    ///
    /// # Cancel safety
    /// Dropping it drops the loader.
    pub async fn run<F: Future>(&self, loader: F) -> F::Output {
        let Leadership { shared, flight, .. } = &self.leadership;
        renewing(shared, &flight.stats, || self.leases(), loader).await
    }

    /// Keeps the lease alive for as long as it is polled, and never ends: for a loader that
    /// can't be given to [`Ticket::run`].
    pub fn keep_alive(&self) -> impl Future<Output = ()> + Send + 'static {
        let Leadership { shared, flight, .. } = &self.leadership;
        renew(Arc::clone(shared), Arc::clone(&flight.stats), self.leases())
    }

    fn leases(&self) -> Vec<(WireKey, Token)> {
        let Leadership { flight, lease, .. } = &self.leadership;
        lease.iter().map(|lease| (flight.key.clone(), lease.token)).collect()
    }

    /// Stores the value, or with `None` that there is none, and gives it to those who wait.
    ///
    /// Costs one round trip.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn fill(self, entry: Option<Bytes>, ttl: Ttl, value: Value) -> Filled {
        let Self { leadership, factory, began } = self;
        let mut budget = leadership.budget;
        let Some(lease) = leadership.lease.clone() else {
            leadership.land_loaded(factory, &value);
            return Filled::Unstored;
        };
        let runtime = Arc::clone(&leadership.shared.runtime);
        let flight = Arc::clone(&leadership.flight);
        let stamp = FillStamp {
            token: lease.token,
            loaded_at: lease.granted_at,
            ttl,
            load_millis: (runtime.now() - began).as_millis(),
            tags: flight.tags.stamps(&lease.tags),
        };
        let storing = async move {
            // From here on the answer of the backend would vouch for nobody who comes.
            leadership.seal();
            let raw = flight.format.entry(entry, stamp);
            let fill = Fill { key: flight.key.clone(), token: lease.token, value: raw, ttl };
            let backend = Arc::clone(&leadership.shared.backend);
            let fills = [fill];
            let unchanged = tags_are(&*backend, flight.tags.keys(), &lease.tags);
            let (mut answers, unchanged) = join(backend.store(&fills), unchanged).await;
            land(leadership, factory, answers.pop(), unchanged, &value)
        };
        let storing = finish_even_if_dropped(&runtime, storing);
        budget.spend(&*runtime, storing).await.unwrap_or(Filled::Unstored)
    }

    /// Gives the value to those who came before the loader began, and stores nothing. An
    /// entry of the same cache, which the value makes outdated, is removed.
    ///
    /// Costs one round trip if there is such an entry, else none.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn share(self, value: Value) {
        let Self { mut leadership, factory, .. } = self;
        let mut budget = leadership.budget;
        let standing = leadership.lease.as_ref().and_then(|lease| lease.standing);
        let outdated = standing == Some(Standing::Own);
        if !outdated {
            return leadership.land_loaded(factory, &value);
        }
        let runtime = Arc::clone(&leadership.shared.runtime);
        let removing = async move {
            let key = leadership.flight.key.clone();
            // The lease goes with the entry.
            if leadership.shared.backend.invalidate(&[key]).await.is_ok() {
                leadership.lease = None;
            } else {
                leadership.flight.stats.count(Counter::Error);
            }
            leadership.land_loaded(factory, &value);
        };
        budget.spend(&*runtime, finish_even_if_dropped(&runtime, removing)).await;
    }

    /// Gives the loader's error to those who came before it began.
    pub fn fail(self, error: &SharedError) {
        self.leadership.flight.stats.count(Counter::LoadError);
        self.leadership.land_failed(self.factory, error);
    }
}

/// Ends a flight whose fill was sent.
fn land(
    mut leadership: Leadership,
    factory: Place,
    answer: Option<Result<Stored, Error>>,
    tags_unchanged: bool,
    value: &Value,
) -> Filled {
    let stats = Arc::clone(&leadership.flight.stats);
    match answer {
        Some(Ok(Stored::Stored)) if tags_unchanged => {
            leadership.land_stored(factory, value);
            Filled::Stored
        }
        // An entry whose tag was invalidated meanwhile stands there dead.
        Some(Ok(Stored::Stored | Stored::Refused)) => {
            stats.count(Counter::Refused);
            leadership.lease = None;
            leadership.land_loaded(factory, value);
            Filled::Refused
        }
        // It may have been stored all the same. The release, which stands behind it, and
        // the next leader's own token make sure that nothing older follows.
        answer => {
            let too_large =
                matches!(&answer, Some(Err(error)) if error.kind() == ErrorKind::TooLarge);
            stats.count(if too_large { Counter::Unstorable } else { Counter::Error });
            leadership.give_lease_up();
            leadership.land_loaded(factory, value);
            Filled::Unstored
        }
    }
}

/// Says whether tags still have the versions that were captured before the load.
async fn tags_are(backend: &dyn Backend, tags: &[WireKey], captured: &[TagVersion]) -> bool {
    if tags.is_empty() {
        return true;
    }
    let now = backend.read(tags).await.unwrap_or_default();
    now.iter().map(|raw| version(raw.as_ref())).eq(captured.iter().map(|&version| Some(version)))
}
