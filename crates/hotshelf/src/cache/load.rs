//! Loading on a miss.

use std::any::{Any, TypeId};
use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::Seen;
use hotshelf_core::engine::{
    Acquisition, Call, Found, Identity, Known, SharedError, Standing, Ticket, Value,
};
use hotshelf_core::tag::Tags;
use hotshelf_core::{Counter, Error, Key, Ttl, WireKey};

use super::judge::{self, Typed};
use super::{Cache, CacheValue, Lookup};
use crate::load_error::LoadError;

/// How one call differs from the cache's options.
#[derive(Clone, Debug)]
pub(super) struct LoadOptions {
    pub(super) ttl: Result<Ttl, Error>,
    pub(super) mode: Mode,
    /// Whether a cached negative answers the call.
    pub(super) takes_absent: bool,
}

/// Whether a call uses what is cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It reads, and stores.
    Use,
    /// It stores, but takes nothing that a loader hadn't begun to load when it came.
    Reload,
    /// It neither reads nor stores.
    Bypass,
}

impl<T: CacheValue> Cache<T> {
    /// Reads a value, or loads it by a loader that can't fail.
    ///
    /// As [`Cache::get_or_try_insert_with`] in all else.
    ///
    /// # Cancel safety
    /// As [`Cache::get_or_try_insert_with`].
    #[doc(alias = "get_or_set")]
    pub async fn get_or_insert_with<'a, F>(&'a self, key: impl Into<Key<'a>>, load: F) -> Arc<T>
    where
        F: AsyncFnOnce() -> T,
    {
        self.entry(key).or_insert_with(load).await
    }

    /// Reads a value, or loads it.
    ///
    /// Of all callers, in this process and in others, one runs its loader; the rest wait
    /// for it and are given its value, or, in this process, its error. The loader may
    /// borrow from its surroundings, and runs in the caller's own task.
    ///
    /// A hit costs one round trip, a miss three. Trouble with the backend costs its
    /// deadline at most: then the loader runs all the same.
    ///
    /// A call that waits for itself waits for ever. So don't ask for a key from within its
    /// own loader, nor for two keys from within each other's, and don't ask again while an
    /// earlier call of yours is kept without being polled, as `select!` on a `&mut` future
    /// keeps it: drop it first.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let numbers = hotshelf::Store::memory().cache::<u64>("numbers").build()?;
    /// let text = String::from("42");
    /// let number = numbers.get_or_try_insert_with("answer", async || text.parse::<u64>()).await?;
    /// assert_eq!(*number, 42);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The loader's own, which the callers that waited for it share.
    ///
    /// # Cancel safety
    /// May be dropped at any point. If it was the one that loads, the caller that has
    /// waited longest runs its own loader.
    #[doc(alias = "get_or_set")]
    #[doc(alias = "cache_aside")]
    pub async fn get_or_try_insert_with<'a, F, E>(
        &'a self,
        key: impl Into<Key<'a>>,
        load: F,
    ) -> Result<Arc<T>, LoadError<E>>
    where
        F: AsyncFnOnce() -> Result<T, E>,
        E: Send + Sync + 'static,
    {
        self.entry(key).or_try_insert_with(load).await
    }

    /// Reads, and loads what isn't there. `None` is a cached, or just loaded, negative.
    pub(super) async fn load<F, E>(
        &self,
        target: Result<(WireKey, Tags), Error>,
        options: LoadOptions,
        load: F,
    ) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        F: AsyncFnOnce() -> Result<Option<T>, E>,
        E: Send + Sync + 'static,
    {
        let usable = self.inner.shared.is_enabled() && options.mode != Mode::Bypass;
        let (key, tags) = match self.counted(target) {
            Ok(both) if usable => both,
            _ => return self.load_uncached(load).await,
        };
        let runtime = self.inner.shared.engine.runtime();
        let began = runtime.now();
        let known = match options.mode {
            Mode::Reload => Known::Unread,
            _ => match self.read(&key, &tags, options.takes_absent).await {
                Ok(value) => return Ok(value),
                Err(known) => known,
            },
        };
        // Boxed, so that the future of a hit stays small.
        let budget = self.inner.options.backend_budget.saturating_sub(runtime.now() - began);
        Box::pin(self.load_missing(key, tags, options, known, budget, load)).await
    }

    async fn load_uncached<F, E>(&self, load: F) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        F: AsyncFnOnce() -> Result<Option<T>, E>,
    {
        self.inner.stats.count(Counter::Load);
        let loaded = load().await;
        if loaded.is_err() {
            self.inner.stats.count(Counter::LoadError);
        }
        loaded.map(|value| value.map(Arc::new)).map_err(|error| LoadError::new(Arc::new(error)))
    }

    /// Reads the key for a load: a hit, or what is known for want of one.
    async fn read(
        &self,
        key: &WireKey,
        tags: &Tags,
        takes_absent: bool,
    ) -> Result<Option<Arc<T>>, Known> {
        let stats = &self.inner.stats;
        let read = self.inner.shared.engine.read(key, self.view(tags)).await;
        let Ok(found) = self.counted(read) else {
            stats.count(Counter::Miss);
            return Err(Known::Unreadable);
        };
        let (value, absent, raw) = match found {
            Found::Entry { value, absent, raw } => (value, absent, raw),
            Found::Unusable(standing, seen) => {
                self.count_foreign(standing);
                stats.count(Counter::Miss);
                return Err(Known::Read(standing, seen));
            }
            Found::Missing => {
                stats.count(Counter::Miss);
                return Err(Known::Read(Standing::Nothing, Seen::Nothing));
            }
        };
        let standing = match judge::lookup(&value, absent, stats) {
            Lookup::Present(value) => {
                stats.count(Counter::Hit);
                return Ok(Some(value));
            }
            Lookup::Absent if takes_absent => {
                stats.count(Counter::Hit);
                return Ok(None);
            }
            Lookup::Absent => Standing::Own,
            Lookup::Missing => Standing::Foreign,
        };
        stats.count(Counter::Miss);
        Err(Known::Read(standing, Seen::entry(&raw)))
    }

    async fn load_missing<F, E>(
        &self,
        key: WireKey,
        tags: Tags,
        options: LoadOptions,
        known: Known,
        backend_budget: Duration,
        load: F,
    ) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        F: AsyncFnOnce() -> Result<Option<T>, E>,
        E: Send + Sync + 'static,
    {
        let stats = &self.inner.stats;
        let takes_absent = options.takes_absent;
        let errors = TypeId::of::<E>();
        let judge = Typed::<T> { stats, takes_absent, values: PhantomData };
        let call = Call {
            key: &key,
            identity: Identity { cache: self.inner.number, errors, takes_absent },
            view: self.view(&tags),
            keep: self.inner.options.keep(options.ttl.clone().unwrap_or(self.inner.options.ttl)),
            judge: &judge,
            stats,
            wait_timeout: self.inner.options.wait_timeout,
            backend_budget,
            max_waiters: self.inner.options.max_waiters,
            reload: options.mode == Mode::Reload,
        };
        match self.inner.shared.engine.acquire(call, known).await {
            Acquisition::Lead(ticket) => self.lead(ticket, options, load).await,
            Acquisition::Hit(Value::Absent) => Ok(None),
            Acquisition::Hit(Value::Present(value)) => Ok(Some(of_its_type(value))),
            Acquisition::Failed(error) => Err(LoadError::new(of_its_type(error))),
        }
    }

    /// Runs the loader and ends the flight with what it gives.
    async fn lead<F, E>(
        &self,
        ticket: Ticket,
        options: LoadOptions,
        load: F,
    ) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        F: AsyncFnOnce() -> Result<Option<T>, E>,
        E: Send + Sync + 'static,
    {
        match ticket.run(load()).await {
            Ok(Some(value)) => {
                let value = Arc::new(value);
                let shared = Value::Present(Arc::clone(&value) as Arc<dyn Any + Send + Sync>);
                let entry =
                    self.encode(&value).and_then(|raw| Ok((Some(raw), self.counted(options.ttl)?)));
                self.fill(ticket, entry.ok(), shared).await;
                Ok(Some(value))
            }
            Ok(None) => {
                let entry = match self.inner.options.negative_ttl {
                    Some(ttl) if ticket.standing().await != Standing::Foreign => Some((None, ttl)),
                    _ => None,
                };
                self.fill(ticket, entry, Value::Absent).await;
                Ok(None)
            }
            Err(error) => {
                let error = Arc::new(error);
                ticket.fail(&(Arc::clone(&error) as SharedError));
                Err(LoadError::new(error))
            }
        }
    }

    /// Stores an entry, if there is one to store, and shares the value.
    async fn fill(&self, ticket: Ticket, entry: Option<(Option<Bytes>, Ttl)>, value: Value) {
        match entry {
            Some((entry, ttl)) => {
                ticket.fill(entry, self.jittered(ttl), value).await;
            }
            None => ticket.share(value).await,
        }
    }
}

/// Gives what a flight shares its type back: an [`Identity`] has one for each.
fn of_its_type<V: Send + Sync + 'static>(shared: Arc<dyn Any + Send + Sync>) -> Arc<V> {
    shared.downcast().expect("callers of one identity share one type")
}

/// Turns the result of a loader that can't fail into its value.
pub(super) fn infallible<V>(result: Result<V, LoadError<Infallible>>) -> V {
    match result {
        Ok(value) => value,
        Err(never) => match *never {},
    }
}
