//! Loading many keys with one loader.

use std::any::TypeId;
use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;

use hotshelf_core::IntoKey;
use hotshelf_core::cache::{CallOptions, Ended, SharedError, Value, Waited};

use super::{Cache, CacheValue, of_its_type, present};
use crate::load_error::LoadError;

impl<T: CacheValue> Cache<T> {
    /// Returns many values, in the order of the keys, and loads those that are missing with one
    /// call of the loader. A key that the loader leaves out has no value: `None`, cached for the
    /// cache's [`negative_ttl`](super::CacheBuilder::negative_ttl).
    ///
    /// Each key behaves as if it was loaded alone: of all concurrent callers, here and in other
    /// processes, one loads it, and an invalidation refuses its fill and no other. The loader is
    /// called again, with other keys, only for those that other callers were about to load, and
    /// have not. It is called before the batch waits for others, so that two batches never wait for
    /// each other.
    ///
    /// Costs one round trip for each 1,000 keys; if keys are missing, two more for each 1,000 of
    /// these: four in all with tags that the cache doesn't name.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # async fn find_all(ids: &[u64]) -> Result<Vec<(u64, u32)>, std::io::Error> {
    /// #     Ok(ids.iter().filter(|id| **id < 9).map(|id| (*id, 10 * *id as u32)).collect())
    /// # }
    /// let prices = hotshelf::Store::memory().cache::<u32>("prices").build()?;
    /// let load = |missing: Vec<u64>| async move { find_all(&missing).await };
    /// let found = prices.get_or_load_many([1, 2, 9_u64], load).await?;
    /// assert_eq!(found, [Some(10.into()), Some(20.into()), None]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A stale value is loaded anew with the missing ones, by one call of all processes; the others
    /// get it. `soft_timeout` doesn't apply to the batch's own loader.
    ///
    /// # Errors
    /// Returns the loader's error, unless all keys of that call have a stale value that may be
    /// served; or why a key that another caller loads has no value.
    ///
    /// # Cancel safety
    /// May be dropped at any point. Callers that wait for keys that the call was loading load them.
    pub async fn get_or_load_many<K, F, Fut, M, V, E>(
        &self,
        keys: impl IntoIterator<Item = K>,
        mut load: F,
    ) -> Result<Vec<Option<Arc<T>>>, LoadError<E>>
    where
        K: IntoKey + Clone + Eq + Hash,
        F: FnMut(Vec<K>) -> Fut,
        Fut: Future<Output = Result<M, E>>,
        M: IntoIterator<Item = (K, V)>,
        V: Into<Arc<T>>,
        E: Send + Sync + 'static,
    {
        let keys: Vec<K> = keys.into_iter().collect();
        let entries = self.keys(keys.iter().cloned());
        let options = CallOptions::default().takes_absent(true);
        let mut batch = self.bytes.load_many(entries, options, TypeId::of::<E>()).await;
        while let Some(positions) = batch.next().await {
            let missing: Vec<K> = positions.iter().map(|at| keys[*at].clone()).collect();
            let timeouts = batch.timeouts();
            let waited = {
                let loading = pin!(batch.run(load(missing.clone())));
                timeouts.wait(loading).await.0
            };
            let Waited::Done(loaded) = waited else { return Err(LoadError::TimedOut) };
            match loaded {
                Ok(found) => {
                    let found = found.into_iter().map(|(key, value)| (key, value.into()));
                    let mut found: HashMap<K, Arc<T>> = found.collect();
                    let value = |key: &K| match found.remove(key) {
                        Some(value) => Value::Present(value as _),
                        None => Value::Absent,
                    };
                    batch.complete(missing.iter().map(value).collect::<Vec<_>>()).await;
                }
                Err(error) => {
                    let error = Arc::new(error);
                    if !batch.fail(&(Arc::clone(&error) as SharedError)).await {
                        return Err(LoadError::Failed(error));
                    }
                }
            }
        }
        let outcome = |ended| match ended {
            Ended::Value(value) => Ok(present(value)),
            Ended::Failed(error) => Err(LoadError::Failed(of_its_type(error))),
            Ended::BackingOff(left) => Err(LoadError::BackingOff(left)),
            Ended::TimedOut => Err(LoadError::TimedOut),
        };
        batch.outcomes().into_iter().map(outcome).collect()
    }
}
