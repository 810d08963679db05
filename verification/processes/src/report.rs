//! What the callers of a process saw.

use std::error::Error;
use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Counts of a process, or of all of them.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) calls: u64,
    pub(crate) writes: u64,
    /// Failures and loads that could not be stored.
    pub(crate) errors: u64,
    /// Values older than one that was published before the call.
    pub(crate) stale: u64,
    /// Reads of warm rows that missed.
    pub(crate) lost_hits: u64,
    /// Leases that outlive their process, and duties that it could not finish.
    pub(crate) left: u64,
    /// The longest call that ran no loader, in microseconds, while its runtime was not blocked.
    pub(crate) longest_wait: u64,
}

/// How long a caller may wait for a process that ends, in addition to a load.
const LONGEST_WAIT: Duration = Duration::from_millis(200);

impl Report {
    /// Fails if anything was not as it must be.
    pub(crate) fn check(&self) -> Result<(), Box<dyn Error>> {
        let wrong = self.errors + self.stale + self.lost_hits + self.left;
        if wrong > 0 || self.calls == 0 || self.longest_wait > LONGEST_WAIT.as_micros() as u64 {
            return Err("the guarantees don't hold".into());
        }
        Ok(())
    }
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.writes += other.writes;
        self.errors += other.errors;
        self.stale += other.stale;
        self.lost_hits += other.lost_hits;
        self.left += other.left;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, writes, errors, stale, lost_hits, left, longest_wait } = self;
        let longest = Duration::from_micros(*longest_wait);
        write!(
            formatter,
            "{calls} calls, {writes} writes; caller errors {errors}, stale {stale}, leases left \
             {left}, hits lost {lost_hits}; longest wait beyond a load {longest:?}"
        )
    }
}
