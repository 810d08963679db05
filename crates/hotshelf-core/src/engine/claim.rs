//! Claims: writing to the source of truth and to the cache as one.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::cleanup::finish_even_if_dropped;
use super::{Engine, EngineShared, LEASE, invalidate};
use crate::backend::{Fill, Stored, Take, Taken, Token};
use crate::error::Error;
use crate::key::WireKey;
use crate::stats::{Counter, Stats};
use crate::ttl::Ttl;

/// A key whose lease was taken over before its source of truth is written.
///
/// What is loaded meanwhile can't be stored. Dropping a claim invalidates the key: the
/// write may have been committed.
#[must_use = "dropping a claim invalidates its key"]
pub struct Claim {
    shared: Arc<EngineShared>,
    stats: Arc<Stats>,
    key: WireKey,
    /// `None` if the lease couldn't be had.
    token: Option<Token>,
    settled: bool,
}

/// What became of a written value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The entry holds the value.
    Stored,
    /// There is no entry: somebody else wrote or invalidated the key meanwhile, or the
    /// lease couldn't be had.
    Invalidated,
}

impl Engine {
    /// Takes the lease of a key over, before the write that it is meant for begins.
    ///
    /// Costs one round trip. That the lease couldn't be had is counted, and no error: the
    /// claim then ends in an invalidation.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn claim(&self, key: WireKey, stats: &Arc<Stats>) -> Claim {
        let token = Token::random(self.runtime());
        let take = Take { key: key.clone(), token, lease: LEASE };
        let taken = self.shared.backend.take(&[take]).await.pop();
        if let Some(Err(_)) = &taken {
            stats.count(Counter::Error);
        }
        let token = matches!(taken, Some(Ok(Taken::Granted))).then_some(token);
        let (shared, stats) = (Arc::clone(&self.shared), Arc::clone(stats));
        Claim { shared, stats, key, token, settled: false }
    }
}

impl Claim {
    /// Stores what was written; if that is in doubt in any way, invalidates the key.
    ///
    /// Costs one round trip, or two if the entry had to be invalidated.
    ///
    /// # Errors
    /// The backend's own: then an older entry may still stand.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn store(mut self, value: Bytes, ttl: Ttl) -> Result<Settled, Error> {
        self.settled = true;
        let Some(token) = self.token else { return self.invalidate_now().await };
        let runtime = Arc::clone(&self.shared.runtime);
        let storing = async move {
            let fill = Fill { key: self.key.clone(), token, value, ttl };
            match self.shared.backend.store(&[fill]).await.pop() {
                Some(Ok(Stored::Stored)) => return Ok(Settled::Stored),
                Some(Ok(Stored::Refused)) => self.stats.count(Counter::Refused),
                Some(Err(_)) | None => self.stats.count(Counter::Error),
            }
            self.invalidate_now().await
        };
        finish_even_if_dropped(&runtime, storing).await
    }

    /// Invalidates the key: the write failed, or its value can't be stored.
    ///
    /// # Errors
    /// The backend's own: then an older entry may still stand.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate(mut self) -> Result<Settled, Error> {
        self.settled = true;
        self.invalidate_now().await
    }

    async fn invalidate_now(&self) -> Result<Settled, Error> {
        let invalidation = invalidate(Arc::clone(&self.shared), vec![self.key.clone()]);
        let removed = finish_even_if_dropped(&self.shared.runtime, invalidation).await;
        removed.map(|_| Settled::Invalidated)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let invalidation = invalidate(Arc::clone(&self.shared), vec![self.key.clone()]);
        let stats = Arc::clone(&self.stats);
        self.shared.runtime.spawn(Box::pin(async move {
            if invalidation.await.is_err() {
                stats.count(Counter::Error);
            }
        }));
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Claim");
        debug.field("key", &self.key).field("granted", &self.token.is_some()).finish()
    }
}
