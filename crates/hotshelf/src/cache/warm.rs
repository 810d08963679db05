//! Filling a cache before it is used.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use hotshelf_core::IntoKey;
use hotshelf_core::cache::{CallOptions, Trace};

use super::{Cache, CacheValue};
use crate::load_error::LoadError;

/// The default number of loaders that run at once.
const CONCURRENCY: usize = 8;

/// The default share of the lifetime over which the ends of the entries are spread.
const STAGGER: f64 = 0.5;

/// The golden ratio, less one: its multiples spread evenly, however many there are (Weyl's
/// equidistribution).
const GOLDEN: f64 = 0.618_033_988_749_895;

/// Loads many keys before they are asked for. Created by [`Cache::warm`].
///
/// | option | default |
/// | --- | --- |
/// | [`concurrency`](Self::concurrency) | 8 |
/// | [`stagger`](Self::stagger) | 0.5 |
/// | [`progress`](Self::progress) | none |
#[must_use = "nothing is loaded before `run`"]
pub struct Warm<'a, T, I, F> {
    cache: &'a Cache<T>,
    keys: I,
    load: F,
    concurrency: usize,
    stagger: f64,
    progress: Option<Box<dyn FnMut(usize) + Send + 'a>>,
}

/// The result of [`Warm::run`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Warmed<K, E> {
    /// The number of keys that were loaded.
    pub loaded: usize,
    /// The number of keys that were cached before, or loaded by others.
    pub cached: usize,
    /// The keys whose load has failed, and why.
    pub failed: Vec<(K, LoadError<E>)>,
}

impl<T: CacheValue> Cache<T> {
    /// Loads keys before they are asked for: some at once, and so that their entries don't end
    /// together. Keys that are cached already are skipped; each key behaves as in
    /// [`Cache::get_or_try_insert_with`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), hotshelf::Error> {
    /// # async fn find(id: u64) -> Result<u32, &'static str> { Ok(id as u32) }
    /// let prices = hotshelf::Store::memory().cache::<u32>("prices").build()?;
    /// let warmed = prices
    ///     .warm(1..=100_u64, find)
    ///     .concurrency(4)
    ///     .progress(|done| println!("{done} of 100"))
    ///     .run()
    ///     .await;
    /// assert_eq!(warmed.loaded, 100);
    /// # Ok(())
    /// # }
    /// ```
    pub fn warm<K, F, Fut, V, E>(
        &self,
        keys: impl IntoIterator<Item = K>,
        load: F,
    ) -> Warm<'_, T, impl Iterator<Item = K>, F>
    where
        K: IntoKey + Clone,
        F: Fn(K) -> Fut,
        Fut: Future<Output = Result<V, E>>,
        V: Into<Arc<T>>,
    {
        let (concurrency, stagger) = (CONCURRENCY, STAGGER);
        Warm { cache: self, keys: keys.into_iter(), load, concurrency, stagger, progress: None }
    }
}

impl<'a, T: CacheValue, I, F> Warm<'a, T, I, F> {
    /// Sets how many loaders run at once, at least 1. Default: 8.
    pub fn concurrency(self, loaders: usize) -> Self {
        Self { concurrency: loaders.max(1), ..self }
    }

    /// Sets the share of the cache's `time_to_live`, from 0 to 1, over which the ends of the entries
    /// are spread: with 0.5, entries live for half of it at least. Default: 0.5.
    pub fn stagger(self, share: f64) -> Self {
        Self { stagger: if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }, ..self }
    }

    /// Sets a function that is called after each key, with the number of keys that are done.
    pub fn progress(self, progress: impl FnMut(usize) + Send + 'a) -> Self {
        Self { progress: Some(Box::new(progress)), ..self }
    }

    /// Loads the keys.
    ///
    /// Costs as much for each key as a call that loads it. Failures don't stop it.
    ///
    /// # Cancel safety
    /// May be dropped at any point. What is loaded stays.
    pub async fn run<K, Fut, V, E>(self) -> Warmed<K, E>
    where
        K: IntoKey + Clone,
        I: Iterator<Item = K>,
        F: Fn(K) -> Fut,
        Fut: Future<Output = Result<V, E>>,
        V: Into<Arc<T>>,
        E: Send + Sync + 'static,
    {
        let Self { cache, keys, load, concurrency, stagger, mut progress } = self;
        let time_to_live = cache.bytes.options().time_to_live;
        let load_one = async |position: usize, key: K| {
            let share = 1.0 - stagger * (position as f64 * GOLDEN).fract();
            // Never zero, so that the first entry is stored.
            let lifetime = time_to_live.mul_f64(share).max(Duration::from_millis(1));
            let trace = Trace::default();
            let options = CallOptions::default().time_to_live(Ok(lifetime)).traced(trace.clone());
            let entry = cache.bytes.key(&key.clone().into_key());
            let load = async |_| load(key.clone()).await.map(|value| Some(value.into()));
            match cache.load_with(entry, options, load).await {
                Ok(_) => Ok(trace.outcome().loaded),
                Err(error) => Err((key, error)),
            }
        };
        let mut keys = keys.enumerate();
        let mut running = FuturesUnordered::new();
        let mut warmed = Warmed { loaded: 0, cached: 0, failed: Vec::new() };
        loop {
            while running.len() < concurrency
                && let Some((position, key)) = keys.next()
            {
                running.push(load_one(position, key));
            }
            match running.next().await {
                None => return warmed,
                Some(Ok(true)) => warmed.loaded += 1,
                Some(Ok(false)) => warmed.cached += 1,
                Some(Err(failed)) => warmed.failed.push(failed),
            }
            if let Some(progress) = &mut progress {
                progress(warmed.loaded + warmed.cached + warmed.failed.len());
            }
        }
    }
}

impl<T, I, F> fmt::Debug for Warm<'_, T, I, F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Warm");
        debug.field("cache", self.cache).field("concurrency", &self.concurrency);
        debug.field("stagger", &self.stagger).finish_non_exhaustive()
    }
}
