//! The options of the near tier.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// The options of a near tier.
///
/// | option | default |
/// | --- | --- |
/// | `max_bytes` | 64 MiB |
/// | `max_staleness` | 2 s |
/// | `time_to_live` | 60 s |
/// | `without_reports` | off |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NearOptions {
    /// The most memory that entries may take, in bytes: keys, entries and decoded values.
    pub max_bytes: u64,
    /// For how long a connection vouches for its entries after the last answered ping was sent.
    /// Pings are sent every quarter of it.
    pub max_staleness: Duration,
    /// How long an entry is kept at most.
    pub time_to_live: Duration,
    /// Whether entries are kept for `max_staleness` where the server reports no changes.
    pub without_reports: bool,
}

impl Default for NearOptions {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_staleness: Duration::from_secs(2),
            time_to_live: Duration::from_secs(60),
            without_reports: false,
        }
    }
}

/// The bounds of `max_staleness`: a round trip and its timers have to fit.
const STALENESS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60);

/// The least capacity.
const FEWEST_BYTES: u64 = 1 << 20;

impl NearOptions {
    /// Sets the most memory that entries may take, in bytes, from 1 MiB on. Default: 64 MiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets the bound of staleness, from 100 ms to 60 s. Default: 2 s.
    #[must_use]
    pub fn max_staleness(mut self, duration: Duration) -> Self {
        self.max_staleness = duration;
        self
    }

    /// Sets how long an entry is kept at most. Default: 60 s.
    #[must_use]
    pub fn time_to_live(mut self, duration: Duration) -> Self {
        self.time_to_live = duration;
        self
    }

    /// Sets whether what was read is kept for `max_staleness` where the server doesn't report
    /// changes: behind a proxy, over RESP2, or where an ACL denies it.
    /// The bound is the same, but a change by another process is seen after that time, and not
    /// within a round trip. Default: off, nothing is kept there.
    #[must_use]
    pub fn without_reports(mut self, keeps: bool) -> Self {
        self.without_reports = keeps;
        self
    }

    /// Returns what becomes of entries whose changes aren't reported, for a log line.
    #[must_use]
    pub fn unreported(&self) -> &'static str {
        match self.without_reports {
            true => "the near tier keeps entries for `max_staleness`",
            false => "the near tier is off",
        }
    }

    /// Checks the options.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`].
    pub fn validate(&self) -> Result<(), Error> {
        let invalid = |message: String| Err(Error::new(ErrorKind::Configuration, message));
        if !STALENESS.contains(&self.max_staleness) {
            let given = self.max_staleness;
            return invalid(format!("invalid `max_staleness` {given:?}: use 100 ms to 60 s"));
        }
        if self.max_bytes < FEWEST_BYTES {
            let given = self.max_bytes;
            return invalid(format!("invalid `max_bytes` {given}: use 1 MiB or more"));
        }
        if self.time_to_live.is_zero() {
            return invalid("invalid `time_to_live` of the near tier: use more than 0".to_owned());
        }
        Ok(())
    }
}
