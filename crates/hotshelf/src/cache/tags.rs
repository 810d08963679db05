//! Tags of a cache.

use hotshelf_core::engine::Format;
use hotshelf_core::tag::{TagId, Tags};
use hotshelf_core::{Error, ErrorKind, WireKey};

use super::{Cache, CacheValue};
use crate::invalidation::Invalidation;

impl<T: CacheValue> Cache<T> {
    /// Invalidates all entries that carry a tag, in all caches of the same prefix, and
    /// refuses every load of them that is in flight.
    ///
    /// Costs one round trip, no matter how many entries there are: they stay until they
    /// expire, and count no more. `removed` is 0.
    ///
    /// # Errors
    /// Of kind [`Key`](crate::ErrorKind::Key) for a tag without a name; else the backend's
    /// own: then the entries may still count.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate_tag(&self, name: &str) -> Result<Invalidation, Error> {
        let id = self.counted(TagId::of(name))?;
        self.invalidate_tag_keys(vec![self.inner.tags.key_of(id)]).await
    }

    pub(super) async fn invalidate_tag_keys(
        &self,
        keys: Vec<WireKey>,
    ) -> Result<Invalidation, Error> {
        let invalidated = self.inner.shared.engine.invalidate_tags(keys).await;
        self.counted(invalidated).map(|()| Invalidation::applied(0))
    }

    /// Gives the cache's own tags and these.
    pub(super) fn tags_with<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Tags, Error> {
        let ids: Result<Vec<TagId>, Error> =
            names.into_iter().map(|name| TagId::of(name.as_ref())).collect();
        let ids = ids?;
        if !ids.is_empty() && self.inner.options.format == Format::Plain {
            let message = "plain entries carry no tags: leave `strict_plain` out";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        self.inner.tags.with(ids)
    }
}
