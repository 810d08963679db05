//! The caches of a store: one handle for each, however often it is built.

use std::any::{Any, TypeId, type_name};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotshelf_core::{Error, ErrorKind, Namespace, Stats};

use super::CacheInfo;
use crate::cache::{CacheOptions, CacheValue};

/// The caches that were built, so that building one again gives the same flights and
/// counters, and so that two views of one cache can't disagree on its options.
#[derive(Default)]
pub(crate) struct Registry {
    caches: Mutex<BTreeMap<Identity, Registered>>,
}

/// Prefix, version, name and type of values.
type Identity = (String, Option<String>, String, TypeId);

struct Registered {
    number: u64,
    options: CacheOptions,
    namespace: Namespace,
    value_type: &'static str,
    stats: Arc<Stats>,
    cache: Arc<dyn Any + Send + Sync>,
}

impl Registry {
    /// Gives the cache that was built with these options, or makes it by `build`, which
    /// is given the cache's own number and counters.
    ///
    /// # Errors
    /// If it was built with other options, or by what `build` answers.
    pub(crate) fn get_or_build<T: CacheValue, C: Send + Sync + 'static>(
        &self,
        namespace: &Namespace,
        options: &CacheOptions,
        build: impl FnOnce(u64, Arc<Stats>) -> Result<Arc<C>, Error>,
    ) -> Result<Arc<C>, Error> {
        let identity = (
            namespace.prefix_name().to_owned(),
            namespace.version_name().map(str::to_owned),
            namespace.name().to_owned(),
            TypeId::of::<T>(),
        );
        let mut caches = self.lock();
        if let Some(registered) = caches.get(&identity) {
            if registered.options != *options {
                return Err(disagreement(registered, namespace, options));
            }
            let same = Arc::clone(&registered.cache).downcast();
            return same.map_err(|_| Error::new(ErrorKind::Configuration, "another type of cache"));
        }
        let number = caches.len() as u64;
        let stats = Arc::new(Stats::default());
        let cache = build(number, Arc::clone(&stats))?;
        let registered = Registered {
            number,
            options: options.clone(),
            namespace: namespace.clone(),
            value_type: type_name::<T>(),
            stats,
            cache: Arc::clone(&cache) as Arc<dyn Any + Send + Sync>,
        };
        caches.insert(identity, registered);
        Ok(cache)
    }

    /// Gives the prefixes of all caches.
    pub(crate) fn prefixes(&self) -> BTreeSet<String> {
        self.lock().keys().map(|(prefix, ..)| prefix.clone()).collect()
    }

    /// Says what the caches have counted.
    pub(crate) fn infos(&self) -> Vec<CacheInfo> {
        let caches = self.lock();
        let info = |registered: &Registered| CacheInfo {
            prefix: registered.namespace.prefix_name().to_owned(),
            version: registered.namespace.version_name().map(str::to_owned),
            name: registered.namespace.name().to_owned(),
            value_type: registered.value_type,
            stats: registered.stats.read(),
        };
        caches.values().map(info).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Identity, Registered>> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn disagreement(registered: &Registered, namespace: &Namespace, options: &CacheOptions) -> Error {
    Error::new(
        ErrorKind::Configuration,
        format!(
            "the cache {:?} was built with other options before: {:?} and {:?}; build it once \
             and clone the handle, or give it another name",
            namespace.name(),
            registered.options,
            options,
        ),
    )
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let caches = self.lock();
        let names = caches
            .values()
            .map(|registered| (registered.number, registered.namespace.name().to_owned()));
        formatter.debug_map().entries(names).finish()
    }
}
