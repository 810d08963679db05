//! Writing to the source of truth and to the cache together.

use std::ops::Deref;
use std::sync::Arc;

use hotshelf_core::cache::{CallOptions, EntryKey};
use hotshelf_core::codec::Opaque;
use hotshelf_core::{Error, IntoKey};

use super::{Cache, CacheValue};

/// The result of a write through the cache: the written value, and whether it was cached.
#[derive(Debug)]
#[must_use = "the cache may not reflect the write: see `cached`"]
pub struct Written<T> {
    value: Arc<T>,
    cached: Result<(), Error>,
}

impl<T> Written<T> {
    /// Returns the written value.
    #[must_use]
    pub fn value(&self) -> &Arc<T> {
        &self.value
    }

    /// Returns `Ok` if the cache reflects the write.
    ///
    /// # Errors
    /// Returns an error if the backend failed; an older entry may then be served until its
    /// time to live ends. Returns an error of kind [`Key`](crate::ErrorKind::Key) or
    /// [`Configuration`](crate::ErrorKind::Configuration) if a key, a tag or the lifetime is
    /// invalid; nothing was stored then.
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
    /// Writes to the source of truth, and stores the written value.
    ///
    /// The key's lease is taken over before `write` begins, so that no load that may have read
    /// the older value can be stored. If another caller invalidates or writes the key
    /// meanwhile, or anything else is in doubt, the key is invalidated: a write never undoes
    /// an invalidation or a write of others, in whatever order they were committed. After it
    /// has returned and [`Written::cached`] is `Ok`, no later call gets an older value.
    ///
    /// Costs two round trips in addition to the write. If the backend fails, `write` runs
    /// anyway and [`Written::cached`] reports the failure. The lease is renewed for as long as
    /// `write` runs.
    ///
    /// The entry carries the [tags of the cache](super::CacheBuilder::tags). If loads of this
    /// key name other tags, name them here too: `entry(key).tags(…).write_through(…)`, see
    /// [`Entry::write_through`](super::Entry::write_through).
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
    /// Returns the writer's error. The key is then invalidated too, since the write may have
    /// been committed anyway.
    ///
    /// # Cancel safety
    /// If dropped while `write` runs, the key is invalidated in the background. If dropped
    /// later, the store completes.
    pub async fn write_through<F, E>(&self, key: impl IntoKey, write: F) -> Result<Written<T>, E>
    where
        F: AsyncFnOnce() -> Result<T, E>,
    {
        self.entry(key.into_key()).write_through(write).await
    }

    /// Writes many values to the source of truth in one write, and stores the written values.
    ///
    /// `write` returns the values in the order of the keys. A key without a value is
    /// invalidated; if a key occurs twice, its last value is stored. [`Written::cached`] is
    /// `Ok` if it is for all keys. Otherwise like [`Cache::write_through`].
    ///
    /// Costs two round trips for each 1,000 keys in addition to the write, and one more if
    /// keys that others wrote or invalidated meanwhile have to be invalidated.
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
    /// Returns the writer's error. The keys are then invalidated too.
    ///
    /// # Cancel safety
    /// Same as [`Cache::write_through`].
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
                // Failures are counted where they occur.
                let _ = guard.invalidate().await;
                return Err(error);
            }
        };
        let written = guard.written(values(&value).iter().map(|value| Some(value as &Opaque)));
        let cached = written.send().await.map(drop);
        Ok(Written { value: Arc::new(value), cached })
    }
}
