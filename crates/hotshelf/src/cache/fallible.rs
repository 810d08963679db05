//! The same calls, with failures reported.

use std::sync::Arc;

use hotshelf_core::cache::CallOptions;
use hotshelf_core::{Error, IntoKey, Remaining};

use super::{Cache, CacheValue, Entry, Lookup};
use crate::invalidation::Invalidation;

/// A view of a [`Cache`] whose methods report what the cache's own only count: failures of the
/// backend, and values that can't be stored.
///
/// Each method does what its namesake does, at the same cost.
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

/// One key of a cache, and the options of one call, whose methods report failures.
///
/// Invalid options of the call are reported, too: errors of kind
/// [`Key`](crate::ErrorKind::Key) or [`Configuration`](crate::ErrorKind::Configuration).
#[derive(Debug)]
#[must_use = "an entry does nothing by itself"]
pub struct FallibleEntry<'a, T> {
    entry: Entry<'a, T>,
}

impl<T: CacheValue> Cache<T> {
    /// Returns a view whose methods report failures of the backend.
    pub fn fallible(&self) -> Fallible<'_, T> {
        Fallible { cache: self }
    }
}

impl<'a, T: CacheValue> Entry<'a, T> {
    /// Returns this call with methods that report failures of the backend and invalid options.
    pub fn fallible(self) -> FallibleEntry<'a, T> {
        FallibleEntry { entry: self }
    }
}

impl<T: CacheValue> Fallible<'_, T> {
    /// Reads a value; see [`Cache::get`].
    ///
    /// # Errors
    /// The backend's own.
    pub async fn get(&self, key: impl IntoKey) -> Result<Option<Arc<T>>, Error> {
        self.lookup(key).await.map(Lookup::present)
    }

    /// Reads what is known of a key; see [`Cache::lookup`].
    ///
    /// # Errors
    /// The backend's own.
    pub async fn lookup(&self, key: impl IntoKey) -> Result<Lookup<T>, Error> {
        let bytes = &self.cache.bytes;
        bytes.read(Ok(bytes.key(&key.into_key()))).await.map(Lookup::from)
    }

    /// Reports whether the key has a value; see [`Cache::contains_key`].
    ///
    /// # Errors
    /// The backend's own.
    pub async fn contains_key(&self, key: impl IntoKey) -> Result<bool, Error> {
        self.get(key).await.map(|value| value.is_some())
    }

    /// Returns how long an entry still lives; see [`Cache::remaining`].
    ///
    /// # Errors
    /// The backend's own.
    pub async fn remaining(&self, key: impl IntoKey) -> Result<Remaining, Error> {
        self.cache.entry(key.into_key()).fallible().remaining().await
    }

    /// Writes a value, and returns whether it is stored; see [`Cache::insert`].
    ///
    /// `Ok(false)` means that an invalidation or another insert came in between, or that the
    /// caches are switched off.
    ///
    /// # Errors
    /// The backend's own; of kind [`Encode`](crate::ErrorKind::Encode) or
    /// [`TooLarge`](crate::ErrorKind::TooLarge) for a value that can't be stored: then the
    /// older entry is removed.
    pub async fn insert(&self, key: impl IntoKey, value: impl Into<Arc<T>>) -> Result<bool, Error> {
        self.cache.entry(key.into_key()).fallible().insert(value).await
    }

    /// Reads many values, in the order of the keys; see [`Cache::get_many`].
    ///
    /// # Errors
    /// The backend's own.
    pub async fn get_many<K: IntoKey>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Arc<T>>>, Error> {
        let outcomes = self.cache.bytes.read_many(self.cache.keys(keys)).await?;
        Ok(outcomes.into_iter().map(|outcome| Lookup::from(outcome).present()).collect())
    }

    /// Writes many values, and returns for each, in their order, whether it is stored; see
    /// [`Cache::insert_many`]. As [`Fallible::insert`] for each of them.
    pub async fn insert_many<K: IntoKey, V: Into<Arc<T>>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Vec<Result<bool, Error>> {
        self.cache.inserts(entries, &CallOptions::default()).send_each().await
    }

    /// Removes an entry; see [`Cache::invalidate`].
    ///
    /// # Errors
    /// The backend's own: then the entry may still be there.
    pub async fn invalidate(&self, key: impl IntoKey) -> Result<Invalidation, Error> {
        self.cache.invalidate(key).await
    }

    /// Removes many entries; see [`Cache::invalidate_many`].
    ///
    /// # Errors
    /// The backend's own: then some of the entries may still be there.
    pub async fn invalidate_many<K: IntoKey>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Invalidation, Error> {
        self.cache.invalidate_many(keys).await
    }
}

impl<T: CacheValue> FallibleEntry<'_, T> {
    /// Reads the value; see [`Entry::get`].
    ///
    /// # Errors
    /// The backend's own, and those of invalid tags.
    pub async fn get(self) -> Result<Option<Arc<T>>, Error> {
        self.lookup().await.map(Lookup::present)
    }

    /// Reads what is known of the key; see [`Entry::lookup`].
    ///
    /// # Errors
    /// As [`FallibleEntry::get`].
    pub async fn lookup(self) -> Result<Lookup<T>, Error> {
        let Entry { cache, key, options } = self.entry;
        let key = cache.bytes.key(&key);
        cache.bytes.read_as(Ok(key), &options).await.map(Lookup::from)
    }

    /// Reports whether the key has a value; see [`Entry::contains_key`].
    ///
    /// # Errors
    /// As [`FallibleEntry::get`].
    pub async fn contains_key(self) -> Result<bool, Error> {
        self.get().await.map(|value| value.is_some())
    }

    /// Returns how long the entry still lives; see [`Entry::remaining`].
    ///
    /// # Errors
    /// As [`FallibleEntry::get`].
    pub async fn remaining(self) -> Result<Remaining, Error> {
        let Entry { cache, key, options } = self.entry;
        let key = cache.bytes.key(&key);
        cache.bytes.remaining(Ok(key), &options).await
    }

    /// Writes the value, and returns whether it is stored; see [`Entry::insert`].
    ///
    /// # Errors
    /// As [`Fallible::insert`], and those of invalid tags or an invalid lifetime: then the
    /// older entry is removed.
    pub async fn insert(self, value: impl Into<Arc<T>>) -> Result<bool, Error> {
        let Entry { cache, key, options } = self.entry;
        cache.inserts([(key, value)], &options).send().await
    }

    /// Removes the entry; see [`Cache::invalidate`].
    ///
    /// # Errors
    /// The backend's own: then the entry may still be there.
    pub async fn invalidate(self) -> Result<Invalidation, Error> {
        self.entry.invalidate().await
    }
}
