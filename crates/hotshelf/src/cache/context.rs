//! What a loader is told, and decides.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::TagId;
use hotshelf_core::cache::{Decision, InheritedTags, LoadTicket};
use hotshelf_core::sync::Mutex;

use super::load::complete;
use super::{CacheValue, present};
use crate::load_error::LoadError;

/// What a loader is told, and decides: passed to the loaders of
/// [`Entry::or_load`](super::Entry::or_load) and
/// [`Entry::or_refresh_with`](super::Entry::or_refresh_with). A cheap handle.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// # struct Product { category: u32, is_on_sale: bool }
/// # async fn find(_id: u64) -> Result<Product, std::io::Error> {
/// #     Ok(Product { category: 5, is_on_sale: true })
/// # }
/// let store = hotshelf::Store::memory();
/// let prices = store.cache::<u32>("prices").build()?;
/// let price = prices
///     .entry(7)
///     .or_load(async |context| {
///         let product = find(7).await?;
///         context.tags([format!("category:{}", product.category)]);
///         if product.is_on_sale {
///             context.time_to_live(Duration::from_secs(10));
///         }
///         Ok::<_, std::io::Error>(42)
///     })
///     .await?;
/// assert_eq!(*price, 42);
/// # Ok(())
/// # }
/// ```
pub struct LoadContext<T> {
    previous: Option<Arc<T>>,
    decision: Arc<Mutex<Decision>>,
    pub(super) inherited: InheritedTags,
}

impl<T: CacheValue> LoadContext<T> {
    pub(super) fn new(ticket: &LoadTicket) -> Self {
        let previous = ticket.previous().cloned().and_then(present);
        Self { previous, decision: Arc::default(), inherited: ticket.inherited_tags() }
    }

    /// Returns the previous value, if it is only stale: it expired, or is about to, and was not
    /// invalidated before the lease was granted. None for an entry with late tags.
    ///
    /// A loader that finds it unchanged at the source, by a version or an `ETag`, returns it: it is
    /// fresh again then, and its tags are those of now. The server keeps the value, and is sent its
    /// metadata alone, so it must not be changed in place.
    #[must_use]
    pub fn previous(&self) -> Option<&Arc<T>> {
        self.previous.as_ref()
    }

    /// Sets for how long the value is fresh. Default: as the call says, or its cache. If that is
    /// longer than theirs, and the entry has tags, the fill costs one more round trip.
    ///
    /// With a lifetime of zero nothing is stored, and the error is counted; use
    /// [`skip_store`](Self::skip_store).
    pub fn time_to_live(&self, duration: Duration) {
        self.decision.lock().time_to_live = Some(Ok(duration));
    }

    /// Adds tags that are known only from the loaded value.
    ///
    /// Costs one more round trip for the fill, and one for each read that doesn't find the entry
    /// in memory. Values with a new tag are not stored until it is a second older than the load:
    /// only then it is known that the tag was not invalidated meanwhile. Where tags follow from the
    /// key, set [`CacheBuilder::tags`](super::CacheBuilder::tags) or
    /// [`Entry::tags`](super::Entry::tags) instead. A value that is inserted or written through has
    /// none of them, so that they don't invalidate it.
    ///
    /// If the tags are invalid (an empty name, too many tags, or a cache of plain entries), the
    /// value is not stored and the error is counted.
    pub fn tags<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) {
        let ids: Result<Vec<_>, _> =
            names.into_iter().map(|name| TagId::of(name.as_ref())).collect();
        let mut decision = self.decision.lock();
        decision.tags = Some(match (decision.tags.take(), ids) {
            (Some(Ok(mut known)), Ok(ids)) => {
                known.extend(ids);
                Ok(known)
            }
            (None, ids) => ids,
            (Some(Err(error)), _) | (Some(Ok(_)), Err(error)) => Err(error),
        });
    }

    /// Makes the value go to the callers that wait, and not to the cache. An older entry is
    /// removed, as by an invalidation: a cache with [`hold`](super::CacheBuilder::hold) holds its
    /// key.
    pub fn skip_store(&self) {
        self.decision.lock().skip_store = true;
    }

    /// Makes callers get the loader's error even if there is a stale value, as for an error that
    /// says that the value is gone. The load is repeated by the next call: it isn't throttled.
    /// Within `stale_while_revalidate` the value is served on; [`invalidate`](super::Cache::invalidate)
    /// it to end that.
    pub fn reject_stale(&self) {
        self.decision.lock().rejects_stale = true;
    }

    /// Ends the load with what the loader has returned.
    pub(super) async fn complete<E>(
        self,
        mut ticket: Box<LoadTicket>,
        loaded: Result<Option<Arc<T>>, E>,
    ) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        E: Send + Sync + 'static,
    {
        let decision = std::mem::take(&mut *self.decision.lock());
        ticket.decide(Decision { inherited: Some(self.inherited), ..decision });
        Box::pin(complete(ticket, loaded)).await
    }
}

impl<T> Clone for LoadContext<T> {
    fn clone(&self) -> Self {
        let Self { previous, decision, inherited } = self;
        let (previous, decision) = (previous.clone(), Arc::clone(decision));
        Self { previous, decision, inherited: inherited.clone() }
    }
}

impl<T> fmt::Debug for LoadContext<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("LoadContext");
        debug.field("has_previous", &self.previous.is_some()).finish_non_exhaustive()
    }
}
