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
        let mut sum = 0.0;
        let sums: Vec<f64> = (1..=KEYS)
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        let mut random = Random::new(1);
        let draw = |_| {
            let at = sum * random.share();
            sums.partition_point(|sum| *sum < at).min(KEYS - 1) as u32
        };
        Self((0..LENGTH).map(draw).collect())
    }

    pub(crate) fn from(&self, position: usize) -> impl Iterator<Item = usize> {
        (position..).map(|position| self.0[position % LENGTH] as usize)
    }
}
