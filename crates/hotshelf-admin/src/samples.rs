//! A ring of samples of the counters: the history that a page shows.

use std::collections::{BTreeMap, VecDeque};

use hotshelf_core::observe::{CacheMetrics, LoadTimesSnapshot, StoreMetrics};
use hotshelf_core::sync::Mutex;
use hotshelf_core::{ByteStore, Moment};
use serde::Serialize;

/// The number of samples that are kept: five minutes.
const KEPT: usize = 300;

/// The number of samples over which quantiles of load times are taken.
const SPAN: usize = 10;

/// The least time between two samples, in seconds.
const INTERVAL: f64 = 0.9;

#[derive(Default)]
pub(crate) struct Samples(Mutex<VecDeque<Sample>>);

/// The counters of all caches at one moment.
#[derive(Clone)]
struct Sample {
    at: f64,
    up: bool,
    caches: BTreeMap<String, Counters>,
}

#[derive(Clone)]
struct Counters {
    counts: [u64; 8],
    times: LoadTimesSnapshot,
    /// The quantiles of the last seconds, in milliseconds.
    quantiles: [Option<f64>; 3],
}

#[derive(Serialize)]
pub(crate) struct Shown {
    at: f64,
    up: bool,
    caches: BTreeMap<String, Vec<Option<f64>>>,
}

impl Samples {
    /// Takes a sample, unless there is one of the last second.
    pub(crate) fn take(&self, store: &ByteStore) {
        let at = store.runtime().now().since(Moment::default()).as_secs_f64();
        if self.0.lock().back().is_some_and(|last| at - last.at < INTERVAL) {
            return;
        }
        let metrics = store.metrics();
        let mut samples = self.0.lock();
        let before = samples.len().checked_sub(SPAN).and_then(|first| samples.get(first));
        let sample = Sample::new(at, &metrics, before);
        if samples.len() == KEPT {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Returns the samples that are newer than a moment.
    pub(crate) fn since(&self, at: f64) -> Vec<Shown> {
        self.0.lock().iter().filter(|sample| sample.at > at).map(Sample::shown).collect()
    }
}

impl Sample {
    fn new(at: f64, metrics: &StoreMetrics, before: Option<&Self>) -> Self {
        let counters = |cache: &CacheMetrics| {
            let (id, stats) = (cache.id(), &cache.stats);
            let counts = [
                stats.hits,
                stats.near_hits,
                stats.stale,
                stats.negatives,
                stats.misses,
                stats.loads,
                stats.load_errors,
                stats.coalesced,
            ];
            let times = cache.load_times.clone();
            let earlier = before.and_then(|sample| sample.caches.get(&id));
            let recent = earlier.map_or_else(|| times.clone(), |it| times.since(&it.times));
            let quantiles =
                [0.5, 0.95, 0.99].map(|share| recent.quantile(share).map(|it| it * 1e3));
            (id, Counters { counts, times, quantiles })
        };
        Self { at, up: metrics.backend_up, caches: metrics.caches.iter().map(counters).collect() }
    }

    fn shown(&self) -> Shown {
        let caches = self.caches.iter().map(|(id, counters)| {
            let counts = counters.counts.iter().map(|count| Some(*count as f64));
            (id.clone(), counts.chain(counters.quantiles).collect())
        });
        Shown { at: self.at, up: self.up, caches: caches.collect() }
    }
}
