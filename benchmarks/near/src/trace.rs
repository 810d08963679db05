//! Which keys are read, in which order.

use hotshelf_testkit::Random;

/// The number of keys.
pub(crate) const KEYS: usize = 10_000;

/// The number of reads after which a trace repeats.
const LENGTH: usize = 1 << 17;

pub(crate) struct Trace(Vec<u32>);

impl Trace {
    /// Reads by Zipf's law: the n-th most frequent key is read n^-exponent as often as the first.
    pub(crate) fn zipf(exponent: f64) -> Self {
        Self(zipf(KEYS, exponent, 1).take(LENGTH).collect())
    }

    pub(crate) fn from(&self, position: usize) -> impl Iterator<Item = usize> {
        (position..).map(|position| self.0[position % LENGTH] as usize)
    }
}

/// Returns random keys by Zipf's law.
pub(crate) fn zipf(keys: usize, exponent: f64, seed: u64) -> impl Iterator<Item = u32> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=keys)
        .map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        })
        .collect();
    let mut random = Random::new(seed);
    std::iter::repeat_with(move || {
        let at = sum * random.share();
        sums.partition_point(|sum| *sum < at).min(keys - 1) as u32
    })
}

/// Replaces the last fifth of every 5,000 reads by a scan of further keys, each read once.
pub(crate) fn with_scans(
    reads: impl Iterator<Item = u32>,
    keys: usize,
) -> impl Iterator<Item = u32> {
    let mut scanned = keys as u32..;
    reads.enumerate().filter_map(move |(position, key)| match position % 5000 {
        ..4000 => Some(key),
        _ => scanned.next(),
    })
}
