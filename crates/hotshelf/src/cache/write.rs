//! Writing to the source of truth and to the cache as one.

use std::ops::Deref;
use std::sync::Arc;

use hotshelf_core::engine::Claim;
use hotshelf_core::{Error, Key, Pattern};

use super::{Cache, CacheValue};
use crate::invalidation::Invalidation;

/// A value that was written, and what became of its entry.
#[derive(Clone, Debug)]
pub struct Written<T> {
    value: Arc<T>,
    cached: Result<(), Error>,
}

impl<T> Written<T> {
    /// Gives the value.
    #[must_use]
    pub fn value(&self) -> &Arc<T> {
        &self.value
    }

    /// Says whether the cache follows the write.
    ///
    /// # Errors
    /// The backend's own: then an older entry may be served until its time to live ends.
    pub fn cached(&self) -> Result<(), Error> {
        self.cached.clone()
    }
}

impl<T> Deref for Written<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: CacheValue> Cache<T> {
    /// Writes to the source of truth, and stores what was written.
    ///
    /// The key's lease is taken over before `write` begins, so that no load that may have
    /// read the older value can be stored. If anything is in doubt after it, the key is
    /// invalidated: this never undoes an invalidation or a write of others, whatever the
    /// order in which they were committed. When it has returned with
    /// [`Written::cached`] in order, nobody who asks later is given an older value.
    ///
    /// Costs two round trips beside the write. It goes on without the backend, and says
    /// so in [`Written::cached`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # async fn update() -> Result<u32, std::io::Error> { Ok(4) }
    /// let stock = hotshelf::Store::memory().cache::<u32>("stock").build()?;
    /// let written = stock.write_through("lamp", async || update().await).await?;
    /// assert_eq!(*written, 4);
    /// assert_eq!(stock.get("lamp").await.as_deref(), Some(&4));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The writer's own. The key is invalidated then, too: the write may have been
    /// committed all the same.
    ///
    /// # Cancel safety
    /// Dropped while `write` runs, it invalidates the key in the background; dropped
    /// after, it is carried out.
    pub async fn write_through<'k, F, E>(
        &self,
        key: impl Into<Key<'k>>,
        write: F,
    ) -> Result<Written<T>, E>
    where
        F: AsyncFnOnce() -> Result<T, E>,
    {
        let claim = match self.counted(self.wire_key(&key.into())) {
            Ok(key) => {
                let writing = self.writing(self.inner.tags.clone(), self.inner.options.ttl);
                self.inner.shared.engine.claim(key, writing).await
            }
            Err(error) => {
                let value = Arc::new(write().await?);
                return Ok(Written { value, cached: Err(error) });
            }
        };
        match write().await {
            Ok(value) => {
                let value = Arc::new(value);
                let cached = self.settle(claim, &value).await;
                Ok(Written { value, cached })
            }
            Err(error) => {
                let _counted = self.counted(claim.invalidate().await);
                Err(error)
            }
        }
    }

    /// Removes all entries of this cache.
    ///
    /// With [`epoch`](super::CacheBuilder::epoch) that is one round trip, however many there
    /// are, and `removed` is 0. Else it walks over all keys of the server. In layout v1 these are all whose key begins as this cache's do: those of a cache
    /// `users:archive` belong to a cache `users` of the same prefix and version, too.
    ///
    /// # Errors
    /// The backend's own: then some entries may still stand.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped: the walk goes on to its end.
    #[doc(alias = "clear")]
    pub async fn invalidate_all(&self) -> Result<Invalidation, Error> {
        if self.inner.options.epoch {
            return self.invalidate_tag_keys(self.inner.tags.keys().to_vec()).await;
        }
        let stem = Pattern::escape(&self.inner.stem);
        let all = Pattern::new(format!("{stem}*"));
        let removed = self.inner.shared.engine.invalidate_matching(all).await;
        self.counted(removed).map(Invalidation::applied)
    }

    /// Stores what was written, where that is possible.
    async fn settle(&self, claim: Claim, value: &T) -> Result<(), Error> {
        let storable = self.inner.shared.is_enabled().then(|| self.encode(value));
        let settled = match storable {
            Some(Ok(raw)) => claim.store(raw, self.jittered(self.inner.options.ttl)).await,
            Some(Err(_)) | None => claim.invalidate().await,
        };
        self.counted(settled).map(drop)
    }
}
