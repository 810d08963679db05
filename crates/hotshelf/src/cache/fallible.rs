//! The methods of caches and entries, with failures reported.

use std::sync::Arc;

use hotshelf_core::cache::{CallOptions, EntryKey};
use hotshelf_core::{BATCH, Error, IntoKey, Remaining};

use super::{Cache, CacheValue, Entry, Lookup};
use crate::invalidation::Invalidation;

/// A view of a [`Cache`] whose methods report failures that the cache's own methods only
/// count: those of the backend, and values that cannot be stored. Created by
/// [`Cache::fallible`].
///
/// Each method behaves like the cache's method of the same name, at the same cost.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), hotshelf::Error> {
/// let prices = hotshelf::Store::memory().cache::<u32>("prices").build()?;
/// assert!(prices.fallible().insert("lamp", 5).await?);
/// assert_eq!(prices.fallible().get("lamp").await?.as_deref(), Some(&5));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a view does nothing by itself"]
pub struct Fallible<'a, T> {
    cache: &'a Cache<T>,
}

/// An [`Entry`] whose methods report failures. Created by [`Entry::fallible`].
///
/// Invalid options are reported too, as errors of kind [`Key`](crate::ErrorKind::Key) or
/// [`Configuration`](crate::ErrorKind::Configuration).
#[derive(Debug)]
#[must_use = "an entry does nothing by itself"]
pub struct FallibleEntry<'a, T> {
    entry: Entry<'a, T>,
}

impl<T: CacheValue> Cache<T> {
    /// Returns a view of the cache whose methods report failures.
    pub fn fallible(&self) -> Fallible<'_, T> {
        Fallible { cache: self }
    }
}

impl<'a, T: CacheValue> Entry<'a, T> {
    /// Returns this entry with methods that report failures and invalid options.
    pub fn fallible(self) -> FallibleEntry<'a, T> {
        FallibleEntry { entry: self }
    }
}

impl<T: CacheValue> Fallible<'_, T> {
    /// Returns a value; see [`Cache::get`].
    ///
    /// # Errors
    /// Returns an error if the backend fails.
    pub async fn get(&self, key: impl IntoKey) -> Result<Option<Arc<T>>, Error> {
        self.lookup(key).await.map(Lookup::present)
    }

    /// Returns the cached value or negative of a key; see [`Cache::lookup`].
    ///
    /// # Errors
    /// Returns an error if the backend fails.
    pub async fn lookup(&self, key: impl IntoKey) -> Result<Lookup<T>, Error> {
        let bytes = &self.cache.bytes;
        bytes.read(Ok(bytes.key(&key.into_key()))).await.map(Lookup::from)
    }

    /// Returns `true` if the key has a value; see [`Cache::contains_key`].
    ///
    /// # Errors
    /// Returns an error if the backend fails.
    pub async fn contains_key(&self, key: impl IntoKey) -> Result<bool, Error> {
        self.get(key).await.map(|value| value.is_some())
    }

    /// Returns the remaining lifetime of an entry; see [`Cache::remaining`].
    ///
    /// # Errors
    /// Returns an error if the backend fails.
    pub async fn remaining(&self, key: impl IntoKey) -> Result<Remaining, Error> {
        self.cache.entry(key.into_key()).fallible().remaining().await
    }

    /// Inserts a value, and returns `true` if it was stored; see [`Cache::insert`].
    ///
    /// Returns `Ok(false)` if an invalidation or another insert came in between, or if the
    /// caches are disabled.
    ///
    /// # Errors
    /// Returns an error if the backend fails, or of kind [`Encode`](crate::ErrorKind::Encode)
    /// or [`TooLarge`](crate::ErrorKind::TooLarge) if the value cannot be stored; the older
    /// entry is then removed.
    pub async fn insert(&self, key: impl IntoKey, value: impl Into<Arc<T>>) -> Result<bool, Error> {
        self.cache.entry(key.into_key()).fallible().insert(value).await
    }

    /// Returns many values, in the order of the keys; see [`Cache::get_many`].
    ///
    /// # Errors
    /// Returns an error if the backend fails.
    pub async fn get_many<K: IntoKey>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Arc<T>>>, Error> {
        let outcomes = self.cache.bytes.read_many(self.cache.keys(keys)).await?;
        Ok(outcomes.into_iter().map(|outcome| Lookup::from(outcome).present()).collect())
    }

    /// Inserts many values, and returns for each whether it was stored, in their order; see
    /// [`Cache::insert_many`]. Each result is like that of [`Fallible::insert`].
    #[must_use = "each value has a result of its own"]
    pub async fn insert_many<K: IntoKey, V: Into<Arc<T>>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Vec<Result<bool, Error>> {
        let entry = |(key, value): (K, V)| (self.cache.bytes.key(&key.into_key()), value.into());
        let entries: Vec<(EntryKey, Arc<T>)> = entries.into_iter().map(entry).collect();
        let mut stored = Vec::with_capacity(entries.len());
        // Encoded in steps, between which other tasks run.
        for entries in entries.chunks(BATCH) {
            let inserts = self.cache.inserts(entries, &CallOptions::default());
            stored.extend(inserts.send_each().await);
        }
        stored
    }

    /// Removes an entry; see [`Cache::invalidate`].
    ///
    /// # Errors
    /// Returns an error if the backend fails; the entry may then still exist.
    pub async fn invalidate(&self, key: impl IntoKey) -> Result<Invalidation, Error> {
        self.cache.invalidate(key).await
    }

    /// Removes many entries; see [`Cache::invalidate_many`].
    ///
    /// # Errors
    /// Returns an error if the backend fails; some of the entries may then still exist.
    pub async fn invalidate_many<K: IntoKey>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Invalidation, Error> {
        self.cache.invalidate_many(keys).await
    }
}

impl<T: CacheValue> FallibleEntry<'_, T> {
    /// Returns the value; see [`Entry::get`].
    ///
    /// # Errors
    /// Returns an error if the backend fails or the tags are invalid.
    pub async fn get(self) -> Result<Option<Arc<T>>, Error> {
        self.lookup().await.map(Lookup::present)
    }

    /// Returns the cached value or negative; see [`Entry::lookup`].
    ///
    /// # Errors
    /// Same as [`FallibleEntry::get`].
    pub async fn lookup(self) -> Result<Lookup<T>, Error> {
        let Entry { cache, key, options } = self.entry;
        let key = cache.bytes.key(&key);
        cache.bytes.read_as(Ok(key), &options).await.map(Lookup::from)
    }

    /// Returns `true` if the key has a value; see [`Entry::contains_key`].
    ///
    /// # Errors
    /// Same as [`FallibleEntry::get`].
    pub async fn contains_key(self) -> Result<bool, Error> {
        self.get().await.map(|value| value.is_some())
    }

    /// Returns the remaining lifetime of the entry; see [`Entry::remaining`].
    ///
    /// # Errors
    /// Same as [`FallibleEntry::get`].
    pub async fn remaining(self) -> Result<Remaining, Error> {
        let Entry { cache, key, options } = self.entry;
        let key = cache.bytes.key(&key);
        cache.bytes.remaining(Ok(key), &options).await
    }

    /// Inserts the value, and returns `true` if it was stored; see [`Entry::insert`].
    ///
    /// # Errors
    /// Same as [`Fallible::insert`]; also returns an error if the tags or the lifetime are
    /// invalid, and then removes the older entry.
    pub async fn insert(self, value: impl Into<Arc<T>>) -> Result<bool, Error> {
        let Entry { cache, key, options } = self.entry;
        let entry = (cache.bytes.key(&key.into_key()), value.into());
        cache.inserts(&[entry], &options).send().await
    }

    /// Removes the entry; see [`Cache::invalidate`].
    ///
    /// # Errors
    /// Returns an error if the backend fails; the entry may then still exist.
    pub async fn invalidate(self) -> Result<Invalidation, Error> {
        self.entry.invalidate().await
    }
}
