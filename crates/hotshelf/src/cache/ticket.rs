//! Manual fills.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use hotshelf_core::cache::{Filled, LoadTicket, Value};
use hotshelf_core::{Error, IntoKey};

use super::{Cache, CacheValue};

/// The right to fill a key with a value that is read from its source after the ticket was
/// granted. Created by [`Cache::ticket`].
///
/// An invalidation revokes the right. Dropping the ticket releases it.
#[must_use = "dropping a ticket releases the right to fill"]
pub struct FillTicket<T> {
    ticket: LoadTicket,
    values: PhantomData<fn() -> T>,
}

impl<T: CacheValue> Cache<T> {
    /// Acquires the right to fill a key manually, for loads that don't fit into a closure.
    ///
    /// Read the source after this has returned, then call [`fill`](FillTicket::fill). Costs
    /// one round trip, or two if an entry exists. It doesn't wait: while another caller loads
    /// the key, or if the backend fails, the ticket stores nothing.
    ///
    /// The entry carries the [tags of the cache](super::CacheBuilder::tags);
    /// [`Entry::ticket`](super::Entry::ticket) adds others.
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
    /// Returns an error of kind [`Key`](crate::ErrorKind::Key) if the cache's tags for this
    /// key are invalid.
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

    /// Returns `true` if the ticket was granted the right to fill. It may lose the right
    /// later.
    #[must_use]
    pub fn can_store(&self) -> bool {
        self.ticket.can_store()
    }

    /// Runs a load and keeps the right alive, for loads that may take longer than a
    /// [lease](crate::StoreBuilder::lease).
    ///
    /// # Cancel safety
    /// Dropping it drops the load.
    pub async fn run<F: Future>(&self, load: F) -> F::Output {
        self.ticket.run(load).await
    }

    /// Stores the value, and returns `true` if it was stored. It isn't stored if the key was
    /// invalidated or written meanwhile, the ticket had no right to fill, the caches are
    /// disabled, or the backend fails; the counters tell which.
    ///
    /// Costs one round trip.
    ///
    /// # Cancel safety
    /// Once polled, the fill completes even if the future is dropped.
    pub async fn fill(self, value: impl Into<Arc<T>>) -> bool {
        self.ticket.complete(Value::Present(value.into() as _)).await == Filled::Stored
    }
}

impl<T> fmt::Debug for FillTicket<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("FillTicket").field(&self.ticket).finish()
    }
}
