//! Writing to the source of truth and to the cache as one.

use std::ops::Deref;
use std::sync::Arc;

use hotshelf_core::cache::{CallOptions, EntryKey};
use hotshelf_core::codec::Opaque;
use hotshelf_core::{Error, IntoKey};

use super::{Cache, CacheValue};

/// What was written, and what became of its entry, or of its entries.
#[derive(Debug)]
pub struct Written<T> {
    value: Arc<T>,
    cached: Result<(), Error>,
}

impl<T> Written<T> {
    /// Returns the value.
    #[must_use]
    pub fn value(&self) -> &Arc<T> {
        &self.value
    }

    /// Reports whether the cache reflects the write.
    ///
    /// # Errors
    /// The backend's own: then an older entry may be served until its time to live ends. Of
    /// kind [`Key`](crate::ErrorKind::Key) or [`Configuration`](crate::ErrorKind::Configuration)
    /// for an invalid key, tag or lifetime: then nothing was stored.
    pub fn cached(&self) -> Result<(), Error> {
        self.cached.clone()
    }
}

impl<T> Clone for Written<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), cached: self.cached.clone() }
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
    /// order in which they were committed. When it has returned and
    /// [`Written::cached`] is `Ok`, no later call is given an older value.
    ///
    /// Costs two round trips beside the write. It goes on without the backend, and says
    /// so in [`Written::cached`]. The lease is renewed while `write` runs, however long that
    /// takes.
    ///
    /// The entry carries the [tags of the cache](super::CacheBuilder::tags): others that a load
    /// would give it are named by
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
    pub async fn write_through<F, E>(&self, key: impl IntoKey, write: F) -> Result<Written<T>, E>
    where
        F: AsyncFnOnce() -> Result<T, E>,
    {
        self.entry(key.into_key()).write_through(write).await
    }

    /// Writes many values to the source of truth by one write, and stores what was written.
    ///
    /// As [`Cache::write_through`] in all else. `write` returns the values in the order of
    /// the keys; a key for which it returns none is invalidated. Of two values of one key the
    /// later one counts. [`Written::cached`] is `Ok` if it is for all of them.
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
    pub async fn write_through_many<K, F, E>(
        &self,
        keys: impl IntoIterator<Item = K>,
        write: F,
    ) -> Result<Written<Vec<T>>, E>
    where
        K: IntoKey,
        F: AsyncFnOnce() -> Result<Vec<T>, E>,
    {
        self.write_keys(self.keys(keys), CallOptions::default(), write, Vec::as_slice).await
    }

    /// Runs a write under the leases of its keys, and stores its values.
    pub(super) async fn write_keys<V, F, E>(
        &self,
        keys: Vec<Result<EntryKey, Error>>,
        options: CallOptions,
        write: F,
        values: impl FnOnce(&V) -> &[T],
    ) -> Result<Written<V>, E>
    where
        F: AsyncFnOnce() -> Result<V, E>,
    {
        let guard = self.bytes.write_guard(keys, options).await;
        let value = match guard.run(write()).await {
            Ok(value) => value,
            Err(error) => {
                // A failure is counted where it arises.
                let _ = guard.invalidate().await;
                return Err(error);
            }
        };
        let written = guard.written(values(&value).iter().map(|value| Some(value as &Opaque)));
        let cached = written.send().await.map(drop);
        Ok(Written { value: Arc::new(value), cached })
    }
}
