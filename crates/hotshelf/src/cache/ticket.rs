//! Filling by hand.

use std::any::{Any, TypeId};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use hotshelf_core::engine::{Call, Filled, Identity, Ticket, Value};
use hotshelf_core::tag::Tags;
use hotshelf_core::{Error, Key, Ttl, WireKey};

use super::judge::Typed;
use super::{Cache, CacheValue};

/// The right to fill a key with what is read from its source after the ticket was given.
///
/// An invalidation in between takes the right away. Dropping a ticket gives it back.
#[must_use = "dropping a ticket gives the right to fill back"]
pub struct FillTicket<T> {
    cache: Cache<T>,
    ticket: Ticket,
    ttl: Ttl,
}

impl<T: CacheValue> Cache<T> {
    /// Asks for the right to fill a key by hand: for loads that don't fit into a closure.
    ///
    /// Read the source after this has returned, then [`fill`](FillTicket::fill). Costs one
    /// round trip, or two if there is an entry. It doesn't wait: while another caller
    /// loads the key, or without the backend, the ticket stores nothing.
    ///
    /// The entry carries the tags of the cache, its [`epoch`](super::CacheBuilder::epoch) or
    /// none; [`Entry::ticket`](super::Entry::ticket) takes others.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let prices = hotshelf::Store::memory().cache::<u32>("prices").build()?;
    /// let ticket = prices.ticket("lamp").await?;
    /// let price = 5; // read from the database here
    /// assert!(ticket.fill(price).await);
    /// assert_eq!(prices.get("lamp").await.as_deref(), Some(&5));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Of kind [`Key`](crate::ErrorKind::Key) for a key that layout v2 rejects.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn ticket<'k>(&self, key: impl Into<Key<'k>>) -> Result<FillTicket<T>, Error> {
        let key = self.counted(self.wire_key(&key.into()))?;
        Ok(self.ticket_for(key, self.inner.tags.clone(), self.inner.options.ttl).await)
    }

    pub(super) async fn ticket_for(&self, key: WireKey, tags: Tags, ttl: Ttl) -> FillTicket<T> {
        let stats = &self.inner.stats;
        let judge = Typed::<T> { stats, takes_absent: true, values: PhantomData };
        let errors = TypeId::of::<()>();
        let call = Call {
            key: &key,
            identity: Identity { cache: self.inner.number, errors, takes_absent: true },
            view: self.view(&tags),
            keep: self.inner.options.keep(ttl),
            judge: &judge,
            stats,
            wait_timeout: self.inner.options.wait_timeout,
            backend_budget: self.inner.options.backend_budget,
            max_waiters: self.inner.options.max_waiters,
            reload: true,
        };
        let ticket = self.inner.shared.engine.ticket(call).await;
        FillTicket { cache: self.clone(), ticket, ttl }
    }
}

impl<T: CacheValue> FillTicket<T> {
    /// Says whether the ticket holds the right to fill. It may lose it later on.
    #[must_use]
    pub fn can_store(&self) -> bool {
        self.ticket.can_store()
    }

    /// Runs a load that may take longer than a [lease](crate::StoreBuilder::lease), and keeps
    /// the right alive.
    ///
    /// # Cancel safety
    /// Dropping it drops the load.
    pub async fn run<F: Future>(&self, load: F) -> F::Output {
        self.ticket.run(load).await
    }

    /// Stores the value, and says whether it stands now. If it doesn't, the key was
    /// invalidated or written meanwhile, the ticket had no right to fill, the caches are
    /// switched off, or the backend is in trouble; the counters say which.
    ///
    /// Costs one round trip.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn fill(self, value: impl Into<Arc<T>>) -> bool {
        let Self { cache, ticket, ttl } = self;
        let value = value.into();
        let shared = Value::Present(Arc::clone(&value) as Arc<dyn Any + Send + Sync>);
        let entry = cache.inner.shared.is_enabled().then(|| cache.encode(&value));
        match entry {
            Some(Ok(raw)) => {
                ticket.fill(Some(raw), cache.jittered(ttl), shared).await == Filled::Stored
            }
            Some(Err(_)) | None => {
                ticket.share(shared).await;
                false
            }
        }
    }
}

impl<T> fmt::Debug for FillTicket<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("FillTicket").field(&self.ticket).finish()
    }
}
