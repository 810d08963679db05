//! Invalidations that belong to a transaction.

use std::future::Future;

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use hotshelf_core::cache::{ByteCache, EntryKey};
use hotshelf_core::{ByteStore, Error, IntoKey};

use crate::cache::{Cache, CacheValue};
use crate::store::Store;

/// Collects what a transaction of a database changes, and invalidates it after the commit.
///
/// Collect while the transaction runs, where its statements are; dropped with a transaction that is
/// rolled back, it invalidates nothing. It works with any database.
///
/// ```
/// # struct Transaction;
/// # impl Transaction {
/// #     async fn execute(&mut self, _sql: &str) -> Result<(), std::io::Error> { Ok(()) }
/// #     async fn commit(self) -> Result<(), std::io::Error> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hotshelf::{AfterCommit, Store};
///
/// let store = Store::memory();
/// let products = store.cache::<String>("products").build()?;
///
/// # let mut transaction = Transaction;
/// let mut changes = AfterCommit::new();
/// transaction.execute("UPDATE products SET stock = 0 WHERE id = 7").await?;
/// changes.invalidate(&products, 7).invalidate_tag(&store, "category:5");
/// changes.commit(transaction.commit()).await?.invalidated?;
/// # Ok(())
/// # }
/// ```
///
/// It is for changes whose new values aren't at hand. [`Cache::write_through`] also stores the value,
/// and refuses loads that begin while the write runs.
#[derive(Debug, Default)]
#[must_use = "nothing is invalidated before `commit`"]
pub struct AfterCommit {
    keys: Vec<(ByteCache, EntryKey)>,
    tags: Vec<(ByteStore, String)>,
}

/// A committed transaction. Returned by [`AfterCommit::commit`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Committed<V> {
    /// What the commit has returned.
    pub value: V,
    /// Whether the entries were invalidated. On an error, which is counted, they may be served until
    /// their time to live ends.
    pub invalidated: Result<(), Error>,
}

impl AfterCommit {
    /// Creates an empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry.
    pub fn invalidate<T: CacheValue>(&mut self, cache: &Cache<T>, key: impl IntoKey) -> &mut Self {
        self.keys.push((cache.bytes.clone(), cache.bytes.key(&key.into_key())));
        self
    }

    /// Adds a tag; see [`Store::invalidate_tag`].
    pub fn invalidate_tag(&mut self, store: &Store, name: impl Into<String>) -> &mut Self {
        self.tags.push((store.bytes.clone(), name.into()));
        self
    }

    /// Returns `true` if nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.tags.is_empty()
    }

    /// Commits the transaction, and invalidates what was added. If the commit fails, its outcome may
    /// be unknown, so that the entries are invalidated, too.
    ///
    /// Costs one round trip after the commit.
    ///
    /// # Errors
    /// Returns the error of the commit.
    ///
    /// # Cancel safety
    /// Once polled, the entries are invalidated even if the future is dropped: the database may have
    /// committed.
    pub async fn commit<V, E>(
        self,
        commit: impl Future<Output = Result<V, E>>,
    ) -> Result<Committed<V>, E> {
        let mut changes = Begun(Some(self));
        let committed = commit.await;
        let invalidated = match changes.0.take() {
            Some(changes) => changes.apply().await,
            None => Ok(()),
        };
        committed.map(|value| Committed { value, invalidated })
    }

    async fn apply(self) -> Result<(), Error> {
        let by_key = self
            .keys
            .into_iter()
            .map(|(cache, key)| async move { cache.invalidate(vec![Ok(key)]).await.map(drop) });
        let by_tag = self
            .tags
            .into_iter()
            .map(|(store, name)| async move { store.invalidate_tags([Ok(name)], []).await });
        let (by_key, by_tag) = join(join_all(by_key), join_all(by_tag)).await;
        by_key.into_iter().chain(by_tag).collect()
    }
}

/// Changes of a transaction that may have been committed.
struct Begun(Option<AfterCommit>);

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(changes) = self.0.take() {
            // Once polled, invalidations are carried out.
            drop(changes.apply().now_or_never());
        }
    }
}
