//! Claims: writing to the source of truth and to the cache as one.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::cleanup::finish_even_if_dropped;
use super::take::take_over;
use super::{Engine, EngineShared, Insert, Writing, invalidate};
use crate::backend::{Stored, Token};
use crate::error::Error;
use crate::key::WireKey;
use crate::stats::Counter;
use crate::tag::TagStamp;
use crate::ttl::Ttl;

/// A key whose lease was taken over before its source of truth is written.
///
/// What is loaded meanwhile can't be stored. Dropping a claim invalidates the key: the
/// write may have been committed.
#[must_use = "dropping a claim invalidates its key"]
pub struct Claim {
    shared: Arc<EngineShared>,
    writing: Writing,
    key: WireKey,
    /// The token and what the tags' versions were; `None` if the lease couldn't be had.
    lease: Option<(Token, Vec<TagStamp>)>,
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
    pub async fn claim(&self, key: WireKey, writing: Writing) -> Claim {
        let mut takeover = take_over(&self.shared, vec![key.clone()], &writing).await;
        let token = match takeover.leases.pop() {
            Some(Ok(token)) => token,
            Some(Err(_)) | None => {
                writing.stats.count(Counter::Error);
                None
            }
        };
        let lease = token.map(|token| (token, takeover.tags));
        Claim { shared: Arc::clone(&self.shared), writing, key, lease, settled: false }
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
        let Some((token, tags)) = self.lease.take() else { return self.invalidate_now().await };
        let runtime = Arc::clone(&self.shared.runtime);
        let storing = async move {
            let insert = Insert { key: self.key.clone(), value, ttl };
            let fill = self.writing.fill(insert, token, &tags);
            match self.shared.backend.store(&[fill]).await.pop() {
                Some(Ok(Stored::Stored)) => return Ok(Settled::Stored),
                Some(Ok(Stored::Refused)) => self.writing.stats.count(Counter::Refused),
                Some(Err(_)) | None => self.writing.stats.count(Counter::Error),
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
        let stats = Arc::clone(&self.writing.stats);
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
        debug.field("key", &self.key).field("granted", &self.lease.is_some()).finish()
    }
}
