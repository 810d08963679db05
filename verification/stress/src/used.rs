//! What the caches of a run have been used for: a run without near hits or refreshes tests neither.

use std::error::Error;
use std::fmt;
use std::ops::AddAssign;
use std::str::FromStr;

use hotshelf_core::CacheStats;

/// How often the caches of one process, or of all, did what a run is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    near_hits: u64,
    stale: u64,
    refreshes: u64,
    timed_out: u64,
    load_errors: u64,
}

impl Used {
    pub(crate) fn of(stats: &CacheStats) -> Self {
        let CacheStats { near_hits, stale, refreshes, timed_out, load_errors, .. } = *stats;
        Self { near_hits, stale, refreshes, timed_out, load_errors }
    }

    /// Returns `true` if near tiers have answered.
    pub(crate) fn near(&self) -> bool {
        self.near_hits > 0
    }

    /// Returns `true` if values were served stale and refreshed, calls timed out, and loads failed.
    pub(crate) fn stale(&self) -> bool {
        ![self.stale, self.refreshes, self.timed_out, self.load_errors].contains(&0)
    }
}

impl AddAssign for Used {
    fn add_assign(&mut self, other: Self) {
        self.near_hits += other.near_hits;
        self.stale += other.stale;
        self.refreshes += other.refreshes;
        self.timed_out += other.timed_out;
        self.load_errors += other.load_errors;
    }
}

impl fmt::Display for Used {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { near_hits, stale, refreshes, timed_out, load_errors } = self;
        write!(formatter, "{near_hits} {stale} {refreshes} {timed_out} {load_errors}")
    }
}

impl FromStr for Used {
    type Err = Box<dyn Error>;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let counts = line.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        let [near_hits, stale, refreshes, timed_out, load_errors] = counts[..] else {
            return Err(format!("invalid counts: {line:?}").into());
        };
        Ok(Self { near_hits, stale, refreshes, timed_out, load_errors })
    }
}
