//! A ring of samples of the counters: the history that a page shows.

use std::collections::{BTreeMap, VecDeque};

use hotshelf_core::observe::{CacheMetrics, LoadTimesSnapshot};
use hotshelf_core::sync::Mutex;
use hotshelf_core::{ByteStore, Moment};
use serde::Serialize;

/// The number of samples that are kept: five minutes.
const KEPT: usize = 300;

/// The number of counters of caches in all samples: with many caches, fewer samples are kept.
const ROWS: usize = 30_000;

/// The number of samples over which quantiles of load times are taken.
const SPAN: usize = 10;

/// The least time between two samples, in seconds.
const INTERVAL: f64 = 0.9;

/// The samples, and the load times at the last of them, which are large.
#[derive(Default)]
pub(crate) struct Samples(Mutex<Ring>);

#[derive(Default)]
struct Ring {
    samples: VecDeque<Sample>,
    times: VecDeque<BTreeMap<String, LoadTimesSnapshot>>,
}

/// The counters of all caches at one moment.
struct Sample {
    at: f64,
    up: bool,
    caches: BTreeMap<String, Counters>,
}

struct Counters {
    counts: [u64; 8],
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
        if self.0.lock().samples.back().is_some_and(|last| at - last.at < INTERVAL) {
            return;
        }
        let metrics = store.metrics();
        let mut ring = self.0.lock();
        let earlier = if ring.times.len() < SPAN { None } else { ring.times.pop_front() };
        let counters = |cache: &CacheMetrics| {
            let before = earlier.as_ref().and_then(|times| times.get(&cache.id()));
            (cache.id(), Counters::new(cache, before))
        };
        let caches = metrics.caches.iter().map(counters).collect();
        let kept = (ROWS / metrics.caches.len().max(1)).clamp(SPAN, KEPT);
        while ring.samples.len() >= kept {
            ring.samples.pop_front();
        }
        ring.samples.push_back(Sample { at, up: metrics.backend_up, caches });
        let times = metrics.caches.into_iter().map(|cache| (cache.id(), cache.load_times));
        ring.times.push_back(times.collect());
    }

    /// Returns the samples that are newer than a moment.
    pub(crate) fn since(&self, at: f64) -> Vec<Shown> {
        let ring = self.0.lock();
        ring.samples.iter().filter(|sample| sample.at > at).map(Sample::shown).collect()
    }
}

impl Counters {
    fn new(cache: &CacheMetrics, before: Option<&LoadTimesSnapshot>) -> Self {
        let (stats, times) = (&cache.stats, &cache.load_times);
        // Each read once: by the near tier, or else by its result.
        let near = stats.near_hits.saturating_sub(stats.near_stale_hits + stats.near_negatives);
        let others = near + stats.stale_hits + stats.negatives;
        let counts = [
            near,
            stats.hits.saturating_sub(others),
            stats.stale_hits,
            stats.negatives,
            stats.misses,
            stats.loads,
            stats.load_errors,
            stats.coalesced,
        ];
        let recent = before.map_or_else(|| times.clone(), |before| times.since(before));
        let quantiles = [0.5, 0.95, 0.99].map(|share| recent.quantile(share).map(|it| it * 1e3));
        Self { counts, quantiles }
    }
}

impl Sample {
    fn shown(&self) -> Shown {
        let caches = self.caches.iter().map(|(id, counters)| {
            let counts = counters.counts.iter().map(|count| Some(*count as f64));
            (id.clone(), counts.chain(counters.quantiles).collect())
        });
        Shown { at: self.at, up: self.up, caches: caches.collect() }
    }
}
