//! Many keys at once.

use std::sync::Arc;

use hotshelf_core::cache::CallOptions;
use hotshelf_core::codec::Opaque;
use hotshelf_core::{Error, Key, WireKey};

use super::{Cache, CacheValue, Lookup};
use crate::invalidation::Invalidation;

impl<T: CacheValue> Cache<T> {
    /// Reads many values, in the order of the keys.
    ///
    /// Costs one round trip for each 1,000 keys. If the backend fails, all of them are
    /// misses, and the failure is counted.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn get_many<'k, K: Into<Key<'k>>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Vec<Option<Arc<T>>> {
        let keys = self.keys(keys);
        let count = keys.len();
        // The error was counted where it arose.
        self.read_many(keys).await.unwrap_or_else(|_| vec![None; count])
    }

    /// Reads many values and reports a failure of the backend.
    ///
    /// # Errors
    /// As [`Cache::try_get`].
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn try_get_many<'k, K: Into<Key<'k>>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Arc<T>>>, Error> {
        let keys = self.keys(keys);
        match keys.iter().find_map(|key| key.as_ref().err()) {
            Some(error) => Err(error.clone()),
            None => self.read_many(keys).await,
        }
    }

    async fn read_many(
        &self,
        keys: Vec<Result<WireKey, Error>>,
    ) -> Result<Vec<Option<Arc<T>>>, Error> {
        let outcomes = self.bytes.read_many(keys).await?;
        Ok(outcomes.into_iter().map(|outcome| Lookup::from(outcome).present()).collect())
    }

    /// Writes many values. A failure is counted.
    ///
    /// Costs two round trips for each 1,000 entries; see [`Cache::insert`] for what it is
    /// good for, and for the tags that the entries carry. After a write to the source of truth
    /// [`Cache::write_through_many`] is right. Of two entries with the same key the later one
    /// counts.
    ///
    /// # Cancel safety
    /// Dropping it leaves some entries unwritten.
    pub async fn insert_many<'k, K: Into<Key<'k>>, V: Into<Arc<T>>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) {
        // The error was counted where it arose.
        let _ = self.try_insert_many(entries).await;
    }

    /// Writes many values and reports the first failure, after trying all of them.
    ///
    /// # Errors
    /// As [`Cache::try_insert`].
    ///
    /// # Cancel safety
    /// Dropping it leaves some entries unwritten.
    pub async fn try_insert_many<'k, K: Into<Key<'k>>, V: Into<Arc<T>>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), Error> {
        let entries: Vec<(_, Arc<T>)> = entries
            .into_iter()
            .map(|(key, value)| (self.bytes.key(&key.into()), value.into()))
            .collect();
        let values = entries.iter().map(|(key, value)| (key.clone(), &**value as &Opaque));
        self.bytes.insert(values, &CallOptions::default()).send().await.map(drop)
    }

    /// Removes many entries; see [`Cache::invalidate`].
    ///
    /// Costs one round trip, in a Cluster one for each 1,000 keys.
    ///
    /// # Errors
    /// The backend's own: then some of the entries may still be there. Of kind
    /// [`Key`](crate::ErrorKind::Key) for a key that layout v2 rejects, once the others have
    /// been removed.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate_many<'k, K: Into<Key<'k>>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Invalidation, Error> {
        self.bytes.invalidate(self.keys(keys)).await.map(Invalidation::applied)
    }

    pub(super) fn keys<'k, K: Into<Key<'k>>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Vec<Result<WireKey, Error>> {
        keys.into_iter().map(|key| self.bytes.key(&key.into())).collect()
    }
}
