//! Tickets: the right, and the duty, to load.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::cleanup::finish_even_if_dropped;
use super::flight::{Leadership, Place, release};
use super::{EngineShared, LEASE, SharedError, Value};
use crate::backend::{Fill, Stored, Token};
use crate::error::Error;
use crate::key::WireKey;
use crate::runtime::BoxFuture;
use crate::stats::Counter;
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
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// It stands in the backend.
    Stored,
    /// It was invalidated while it was being loaded, and is good for the callers who had
    /// come before.
    Refused,
    /// The ticket has no lease, or the backend is in trouble.
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
        Self { factory: leadership.mark(), leadership }
    }

    /// Says whether the value can be stored. Without a lease it can't.
    #[must_use]
    pub fn can_store(&self) -> bool {
        self.leadership.lease.is_some()
    }

    /// Says whether an entry that was of no use, another cache's perhaps, stands at the
    /// key: a negative must not overwrite it.
    #[must_use]
    pub fn is_over_unusable(&self) -> bool {
        self.leadership.lease.is_some_and(|lease| lease.over_unusable)
    }

    /// Runs a loader in the caller's own task and keeps the lease alive meanwhile.
    ///
    /// # Cancel safety
    /// Dropping it drops the loader.
    pub async fn run<F: Future>(&self, loader: F) -> F::Output {
        let mut loader = pin!(loader);
        let mut renewal: Option<BoxFuture<'static, ()>> = None;
        poll_fn(|context| {
            if let Poll::Ready(output) = loader.as_mut().poll(context) {
                return Poll::Ready(output);
            }
            // Only a loader that really waits needs a timer.
            if let Some(lease) = self.leadership.lease {
                let renewal = renewal.get_or_insert_with(|| {
                    let leadership = &self.leadership;
                    let shared = Arc::clone(&leadership.shared);
                    Box::pin(renew(shared, leadership.flight.key.clone(), lease.token))
                });
                let _never_ready = renewal.as_mut().poll(context);
            }
            Poll::Pending
        })
        .await
    }

    /// Stores the value and gives it to those who wait.
    ///
    /// Costs one round trip.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn fill(self, entry: Bytes, ttl: Ttl, value: Value) -> Filled {
        let Some(lease) = self.leadership.lease else {
            self.share(&value);
            return Filled::Unstored;
        };
        let Self { leadership, factory } = self;
        let runtime = Arc::clone(&leadership.shared.runtime);
        let storing = async move {
            // From here on the answer of the backend would vouch for nobody who comes.
            leadership.seal();
            let key = leadership.flight.key.clone();
            let fill = Fill { key, token: lease.token, value: entry, ttl };
            let answer = leadership.shared.backend.store(&[fill]).await.pop();
            land(leadership, factory, answer, &value)
        };
        finish_even_if_dropped(&runtime, storing).await
    }

    /// Gives the value to those who came before the loader began, and stores nothing.
    pub fn share(self, value: &Value) {
        self.leadership.land_loaded(self.factory, value);
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
    value: &Value,
) -> Filled {
    let stats = Arc::clone(&leadership.flight.stats);
    match answer {
        Some(Ok(Stored::Stored)) => {
            leadership.land_stored(factory, value);
            Filled::Stored
        }
        Some(Ok(Stored::Refused)) => {
            stats.count(Counter::Refused);
            leadership.lease = None;
            leadership.land_loaded(factory, value);
            Filled::Refused
        }
        // It may have been stored all the same. The release, which stands behind it, and
        // the next leader's own token make sure that nothing older follows.
        Some(Err(_)) | None => {
            stats.count(Counter::Error);
            if let Some(lease) = leadership.lease.take() {
                release(&leadership.shared, &leadership.flight.key, lease.token);
            }
            leadership.land_loaded(factory, value);
            Filled::Unstored
        }
    }
}

/// Renews a lease every third of its time, until it is lost.
async fn renew(shared: Arc<EngineShared>, key: WireKey, token: Token) {
    loop {
        shared.runtime.sleep(LEASE / 3).await;
        if let Ok(false) = shared.backend.renew(&key, token, LEASE).await {
            // Nothing brings a lost lease back: the fill will be refused.
            return std::future::pending().await;
        }
    }
}
