//! Filling by hand.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use hotshelf_core::cache::{Filled, LoadTicket, Value};
use hotshelf_core::{Error, IntoKey};

use super::{Cache, CacheValue};

/// The right to fill a key with what is read from its source after the ticket was granted.
///
/// An invalidation in between revokes the right. Dropping a ticket releases it.
#[must_use = "dropping a ticket releases the right to fill"]
pub struct FillTicket<T> {
    ticket: LoadTicket,
    values: PhantomData<fn() -> T>,
}

impl<T: CacheValue> Cache<T> {
    /// Asks for the right to fill a key by hand: for loads that don't fit into a closure.
    ///
    /// Read the source after this has returned, then [`fill`](FillTicket::fill). Costs one
    /// round trip, or two if there is an entry. It doesn't wait: while another caller
    /// loads the key, or without the backend, the ticket stores nothing.
    ///
    /// The entry carries the [tags of the cache](super::CacheBuilder::tags);
    /// [`Entry::ticket`](super::Entry::ticket) takes others.
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
    /// Of kind [`Key`](crate::ErrorKind::Key) if the cache gives the key invalid tags.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn ticket(&self, key: impl IntoKey) -> Result<FillTicket<T>, Error> {
        self.entry(key.into_key()).ticket().await
    }
}

impl<T: CacheValue> FillTicket<T> {
    pub(super) fn new(ticket: LoadTicket) -> Self {
        Self { ticket, values: PhantomData }
    }

    /// Reports whether the ticket holds the right to fill. It may lose it later on.
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

    /// Stores the value, and returns whether it is stored now. If it isn't, the key was
    /// invalidated or written meanwhile, the ticket had no right to fill, the caches are
    /// switched off, or the backend fails; the counters tell which.
    ///
    /// Costs one round trip.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn fill(self, value: impl Into<Arc<T>>) -> bool {
        self.ticket.complete(Value::Present(value.into() as _)).await == Filled::Stored
    }
}

impl<T> fmt::Debug for FillTicket<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("FillTicket").field(&self.ticket).finish()
    }
}
