//! Many keys at once.

use std::sync::Arc;

use hotshelf_core::cache::{CallOptions, EntryKey, Inserts};
use hotshelf_core::codec::Opaque;
use hotshelf_core::{Error, IntoKey};

use super::{Cache, CacheValue};
use crate::invalidation::Invalidation;

impl<T: CacheValue> Cache<T> {
    /// Returns many values, in the order of the keys.
    ///
    /// Costs one round trip for each 1,000 keys. If the backend fails, all of them are misses
    /// and the failure is counted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), hotshelf::Error> {
    /// let prices = hotshelf::Store::memory().cache::<u32>("prices").build()?;
    /// let ids = vec![1_u64, 2];
    /// assert_eq!(prices.insert_many([(1, 10), (3, 30)]).await, [true, true]);
    /// assert_eq!(prices.get_many(&ids).await, [Some(10.into()), None]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn get_many<K: IntoKey>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Vec<Option<Arc<T>>> {
        let keys: Vec<_> = keys.into_iter().collect();
        let count = keys.len();
        // The error was counted where it arose.
        self.fallible().get_many(keys).await.unwrap_or_else(|_| vec![None; count])
    }

    /// Inserts many values, and returns for each whether it was stored, in their order. A
    /// failure is counted.
    ///
    /// Costs two round trips for each 1,000 entries. See [`Cache::insert`] for when to use it,
    /// and for the tags of the entries; after a write to the source of truth, use
    /// [`Cache::write_through_many`]. If a key occurs twice, its last value is stored.
    /// Other tasks run after each 1,000 entries.
    ///
    /// # Cancel safety
    /// Dropping it leaves some entries unwritten.
    pub async fn insert_many<K: IntoKey, V: Into<Arc<T>>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Vec<bool> {
        let stored = self.fallible().insert_many(entries).await;
        // The errors were counted where they arose.
        stored.into_iter().map(|stored| stored.unwrap_or(false)).collect()
    }

    /// Removes many entries; see [`Cache::invalidate`].
    ///
    /// Costs one round trip; in a Cluster, one for each 1,000 keys.
    ///
    /// # Errors
    /// Returns an error if the backend fails; some of the entries may then still exist.
    ///
    /// # Cancel safety
    /// Once polled, the invalidation completes even if the future is dropped.
    pub async fn invalidate_many<K: IntoKey>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Invalidation, Error> {
        self.bytes.invalidate(self.keys(keys)).await.map(Invalidation::applied)
    }

    pub(super) fn keys<K: IntoKey>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Vec<Result<EntryKey, Error>> {
        keys.into_iter().map(|key| Ok(self.bytes.key(&key.into_key()))).collect()
    }

    /// Encodes the values of an insert.
    pub(super) fn inserts(&self, entries: &[(EntryKey, Arc<T>)], options: &CallOptions) -> Inserts {
        let values = entries.iter().map(|(key, value)| (Ok(key.clone()), &**value as &Opaque));
        self.bytes.insert(values, options)
    }
}
