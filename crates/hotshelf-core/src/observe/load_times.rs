//! How long loaders take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// The upper bounds of the buckets, in microseconds. The last bucket has none.
const BOUNDS: [u64; 16] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// A histogram of how long loaders took.
#[derive(Debug, Default)]
pub struct LoadTimes {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// In microseconds.
    sum: AtomicU64,
}

/// The state of a [`LoadTimes`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LoadTimesSnapshot {
    /// The upper bound of each bucket in seconds, and the number of loads in it. The last bound
    /// is infinite.
    pub buckets: Vec<(f64, u64)>,
    /// The number of loads.
    pub count: u64,
    /// The sum of all times, in seconds.
    pub sum: f64,
}

impl LoadTimes {
    /// Adds a load.
    pub fn record(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// Reads the histogram. Its parts are not read atomically.
    #[must_use]
    pub fn read(&self) -> LoadTimesSnapshot {
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        LoadTimesSnapshot { buckets, count, sum: self.sum.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}

impl LoadTimesSnapshot {
    /// Returns what was added since an earlier snapshot.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let added = |(at, (bound, count)): (usize, &(f64, u64))| {
            let before = earlier.buckets.get(at).map_or(0, |(_, count)| *count);
            (*bound, count.saturating_sub(before))
        };
        Self {
            buckets: self.buckets.iter().enumerate().map(added).collect(),
            count: self.count.saturating_sub(earlier.count),
            sum: self.sum - earlier.sum,
        }
    }

    /// Adds the loads of another cache.
    pub(crate) fn add(&mut self, other: &Self) {
        for ((_, count), (_, further)) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += further;
        }
        self.count += other.count;
        self.sum += other.sum;
    }

    /// Returns an estimate of the time that a share of all loads took at most, in seconds, as if
    /// those of a bucket were spread evenly, as `histogram_quantile` of Prometheus does. `None`
    /// without loads, and for times above the last bound.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = self.count as f64 * share;
        let (mut seen, mut lower) = (0.0, 0.0);
        for &(bound, count) in &self.buckets {
            let count = count as f64;
            if count > 0.0 && seen + count >= wanted {
                let part = (wanted - seen) / count;
                return bound.is_finite().then_some(lower + (bound - lower) * part);
            }
            (seen, lower) = (seen + count, bound);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_their_buckets() {
        let times = LoadTimes::default();
        for micros in [0, 500, 501, 70_000_000] {
            times.record(Duration::from_micros(micros));
        }
        let read = times.read();
        assert_eq!((read.count, read.buckets.len()), (4, 17));
        assert_eq!(read.buckets[0], (0.0005, 2));
        assert_eq!(read.buckets[1], (0.001, 1));
        assert_eq!(read.buckets[16], (f64::INFINITY, 1));
        assert!((read.sum - 70.001_001).abs() < 1e-9);
    }

    #[test]
    fn quantiles_are_between_the_bounds_of_buckets() {
        let times = LoadTimes::default();
        assert_eq!(times.read().quantile(0.5), None);
        for millis in 1..=100 {
            times.record(Duration::from_millis(millis));
        }
        let read = times.read();
        assert_eq!(read.quantile(0.5), Some(0.05));
        let near = |share, expected: f64| (read.quantile(share).unwrap() - expected).abs() < 1e-9;
        assert!(near(0.95, 0.095), "{:?}", read.quantile(0.95));
        assert!(near(0.0, 0.0005), "{:?}", read.quantile(0.0));
        times.record(Duration::from_secs(100));
        assert_eq!(times.read().quantile(1.0), None);
    }
}
