//! Writing to the source of truth and to the cache as one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use hotshelf_core::engine::Writing;
use hotshelf_core::tag::Tags;
use hotshelf_core::{Error, Key, Pattern, Ttl, WireKey};

use super::{Cache, CacheValue};
use crate::invalidation::Invalidation;

/// What was written, and what became of its entry, or of its entries.
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
    /// The backend's own: then an older entry may be served until its time to live ends. Of
    /// kind [`Key`](crate::ErrorKind::Key) or [`Configuration`](crate::ErrorKind::Configuration)
    /// for a key, tags or a lifetime that are none: then nothing was stored.
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
    /// so in [`Written::cached`]. The lease is renewed while `write` runs, however long that
    /// takes.
    ///
    /// The entry carries the tags of the cache, its [`epoch`](super::CacheBuilder::epoch) or
    /// none: those that a load would give it are named by
    /// `entry(key).tags(…)` in front of [`Entry::write_through`](super::Entry::write_through).
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
        let own = Ok((self.inner.tags.clone(), self.inner.options.ttl));
        self.write_through_for(self.wire_key(&key.into()), own, write).await
    }

    /// Writes many values to the source of truth by one write, and stores what was written.
    ///
    /// As [`Cache::write_through`] in all else. `write` gives the values in the order of
    /// the keys; a key for which it gives none is invalidated. Of two values of one key the
    /// later one stands. [`Written::cached`] is in order if it is for all of them.
    ///
    /// Costs two round trips for each 1,000 keys beside the write, and one more if something
    /// had to be invalidated: what others wrote or invalidated meanwhile.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # async fn restock(_: &[&str]) -> Result<Vec<u32>, std::io::Error> { Ok(vec![4, 5]) }
    /// let stock = hotshelf::Store::memory().cache::<u32>("stock").build()?;
    /// let lamps = ["lamp", "lantern"];
    /// let written = stock.write_through_many(lamps, async || restock(&lamps).await).await?;
    /// assert_eq!(*written, [4, 5]);
    /// assert_eq!(stock.get("lantern").await.as_deref(), Some(&5));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The writer's own. The keys are invalidated then, too.
    ///
    /// # Cancel safety
    /// As [`Cache::write_through`].
    pub async fn write_through_many<'k, K, F, E>(
        &self,
        keys: impl IntoIterator<Item = K>,
        write: F,
    ) -> Result<Written<Vec<T>>, E>
    where
        K: Into<Key<'k>>,
        F: AsyncFnOnce() -> Result<Vec<T>, E>,
    {
        let wire_key = |key: K| self.counted(self.wire_key(&key.into()));
        let keys: Vec<Result<WireKey, Error>> = keys.into_iter().map(wire_key).collect();
        let ttl = self.inner.options.ttl;
        let storable = |values: &Vec<T>| {
            let valid = |(key, value)| Some((Result::as_ref(key).ok()?, value));
            let last: BTreeMap<&WireKey, &T> = keys.iter().zip(values).filter_map(valid).collect();
            last.into_iter().filter_map(|(key, value)| self.storable(key, value, ttl)).collect()
        };
        let writing = self.writing(self.inner.tags.clone(), ttl);
        let claimed = keys.iter().flatten().cloned().collect();
        let mut written = self.write_claimed(claimed, writing, write, storable).await?;
        let not_a_key = keys.iter().find_map(|key| key.as_ref().err());
        written.cached = written.cached.and(not_a_key.cloned().map_or(Ok(()), Err));
        Ok(written)
    }

    pub(super) async fn write_through_for<F, E>(
        &self,
        key: Result<WireKey, Error>,
        tags_and_ttl: Result<(Tags, Ttl), Error>,
        write: F,
    ) -> Result<Written<T>, E>
    where
        F: AsyncFnOnce() -> Result<T, E>,
    {
        let key = match self.counted(key) {
            Ok(key) => key,
            Err(error) => {
                let value = Arc::new(write().await?);
                return Ok(Written { value, cached: Err(error) });
            }
        };
        let (tags, ttl, usable) = match self.counted(tags_and_ttl) {
            Ok((tags, ttl)) => (tags, ttl, Ok(())),
            Err(error) => (self.inner.tags.clone(), self.inner.options.ttl, Err(error)),
        };
        // What can't be stored makes the entry outdated all the same.
        let storable = |value: &T| match usable {
            Ok(()) => self.storable(&key, value, ttl).into_iter().collect(),
            Err(_) => BTreeMap::new(),
        };
        let (claimed, writing) = (BTreeSet::from([key.clone()]), self.writing(tags, ttl));
        let mut written = self.write_claimed(claimed, writing, write, storable).await?;
        written.cached = written.cached.and(usable);
        Ok(written)
    }

    /// Runs a write under the leases of its keys, and stores what is storable of it.
    async fn write_claimed<V, F, E>(
        &self,
        keys: BTreeSet<WireKey>,
        writing: Writing,
        write: F,
        storable: impl FnOnce(&V) -> BTreeMap<WireKey, (Bytes, Ttl)>,
    ) -> Result<Written<V>, E>
    where
        F: AsyncFnOnce() -> Result<V, E>,
    {
        let claim = self.inner.shared.engine.claim(keys, writing).await;
        let value = match claim.run(write()).await {
            Ok(value) => value,
            Err(error) => {
                let _counted = self.counted(claim.invalidate().await);
                return Err(error);
            }
        };
        let settled = match self.inner.shared.is_enabled() {
            true => claim.store(storable(&value)).await,
            false => claim.invalidate().await,
        };
        Ok(Written { value: Arc::new(value), cached: self.counted(settled).map(drop) })
    }

    /// Prepares a value to be stored, if it can be.
    fn storable(&self, key: &WireKey, value: &T, ttl: Ttl) -> Option<(WireKey, (Bytes, Ttl))> {
        Some((key.clone(), (self.encode(value).ok()?, self.jittered(ttl))))
    }

    /// Removes all entries of this cache.
    ///
    /// With [`epoch`](super::CacheBuilder::epoch) that is one round trip, however many there
    /// are, and `removed` is 0. Else it walks over all keys of the server. In layout v1 these
    /// are all whose key begins as this cache's do: those of a cache `users:archive` belong
    /// to a cache `users` of the same prefix and version, too.
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
}
