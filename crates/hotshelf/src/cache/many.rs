//! Many keys at once.

use std::sync::Arc;

use hotshelf_core::engine::{BATCH, Insert};
use hotshelf_core::{Error, Key, WireKey};

use super::{Cache, CacheValue, Lookup};
use crate::invalidation::Invalidation;

impl<T: CacheValue> Cache<T> {
    /// Reads many values, in the order of the keys.
    ///
    /// Costs one round trip for each 1,000 keys. Trouble with the backend is a miss of
    /// all of them, and is counted.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn get_many<'k, K: Into<Key<'k>>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Vec<Option<Arc<T>>> {
        let mut found = Vec::new();
        let mut wire_keys = Vec::new();
        for key in keys {
            let key = self.counted(self.wire_key(&key.into())).ok();
            found.push(key.is_some());
            wire_keys.extend(key);
        }
        let read = self.read_many(&wire_keys).await.unwrap_or_default();
        let mut read = read.into_iter();
        found.into_iter().map(|is_key| if is_key { read.next().flatten() } else { None }).collect()
    }

    /// Reads many values and reports trouble with the backend.
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
        self.read_many(&self.wire_keys(keys)?).await
    }

    async fn read_many(&self, keys: &[WireKey]) -> Result<Vec<Option<Arc<T>>>, Error> {
        if !self.inner.shared.is_enabled() {
            return Ok(vec![None; keys.len()]);
        }
        let mut values = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH) {
            let found =
                self.inner.shared.engine.read_many(batch, self.view(&self.inner.tags)).await;
            let found = self.counted(found)?.into_iter();
            values.extend(found.map(|found| Lookup::present(self.judge(found))));
        }
        Ok(values)
    }

    /// Writes many values. Trouble is counted.
    ///
    /// Costs two round trips for each 1,000 entries; see [`Cache::insert`] for what it is
    /// good for, and for the tags that the entries carry. After a write to the source of truth
    /// [`Cache::write_through_many`] is right. Of two entries with the same key the later one
    /// stands.
    ///
    /// # Cancel safety
    /// Dropping it leaves some entries unwritten.
    pub async fn insert_many<'k, K: Into<Key<'k>>, V: Into<Arc<T>>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) {
        let _counted = self.try_insert_many(entries).await;
    }

    /// Writes many values and reports the first trouble, after trying all of them.
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
        let mut outcome = Ok(());
        let (mut inserts, mut outdated) = (Vec::new(), Vec::new());
        for (key, value) in entries {
            let key = match self.counted(self.wire_key(&key.into())) {
                Ok(key) if self.inner.shared.is_enabled() => key,
                Ok(key) => {
                    outdated.push(key);
                    continue;
                }
                Err(error) => {
                    keep_first(&mut outcome, error);
                    continue;
                }
            };
            match self.encode(&value.into()) {
                Ok(value) => {
                    let ttl = self.jittered(self.inner.options.ttl);
                    inserts.push(Insert { key, value, ttl });
                }
                Err(error) => {
                    keep_first(&mut outcome, error.with_key(&key));
                    // The last value of a key counts, even one that can't be stored.
                    inserts.retain(|insert: &Insert| insert.key != key);
                    outdated.push(key);
                }
            }
        }
        if !outdated.is_empty() {
            let removed = self.invalidate_keys(outdated).await;
            removed.map_or_else(|error| keep_first(&mut outcome, error), drop);
        }
        self.insert_in_batches(inserts, &mut outcome).await;
        outcome
    }

    async fn insert_in_batches(&self, mut inserts: Vec<Insert>, outcome: &mut Result<(), Error>) {
        while !inserts.is_empty() {
            let rest = inserts.split_off(BATCH.min(inserts.len()));
            let writing = self.writing(self.inner.tags.clone(), self.inner.options.ttl);
            for answer in self.inner.shared.engine.insert(inserts, writing).await {
                if let Err(error) = self.note_insert(answer) {
                    keep_first(outcome, error);
                }
            }
            inserts = rest;
        }
    }

    /// Removes many entries; see [`Cache::invalidate`].
    ///
    /// Costs one round trip, in a Cluster one for each 1,000 keys.
    ///
    /// # Errors
    /// The backend's own: then some of the entries may still stand.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate_many<'k, K: Into<Key<'k>>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Invalidation, Error> {
        let keys = self.wire_keys(keys)?;
        self.invalidate_keys(keys).await
    }

    fn wire_keys<'k, K: Into<Key<'k>>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<WireKey>, Error> {
        keys.into_iter().map(|key| self.counted(self.wire_key(&key.into()))).collect()
    }
}

fn keep_first(outcome: &mut Result<(), Error>, error: Error) {
    if outcome.is_ok() {
        *outcome = Err(error);
    }
}
