//! The connections over which entries of the near tier were read.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::Moment;
use crate::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A connection on which the server reports changes of the keys that were read over it.
#[derive(Debug)]
pub struct Source {
    /// The number of times that its entries ended: everything may have changed, or the
    /// connection was lost.
    ended: AtomicU64,
    /// When the last answered ping was sent, in nanoseconds, plus one; 0 if none was answered.
    valid_as_of: AtomicU64,
    /// The server's clock in milliseconds, less the process's own; [`UNKNOWN`] before it was read.
    ahead: AtomicI64,
}

const UNKNOWN: i64 = i64::MIN;

/// A source, and the number of times that its entries had ended when a read was sent over it.
#[derive(Clone, Debug)]
pub struct Sourced {
    source: Arc<Source>,
    ended: u64,
}

impl Default for Source {
    fn default() -> Self {
        let ahead = AtomicI64::new(UNKNOWN);
        Self { ended: AtomicU64::new(0), valid_as_of: AtomicU64::new(0), ahead }
    }
}

impl Source {
    /// Returns what to keep with an entry. Call it before the read is sent.
    #[must_use]
    pub fn before(self: &Arc<Self>) -> Sourced {
        Sourced { source: Arc::clone(self), ended: self.ended.load(Ordering::SeqCst) }
    }

    /// Ends all entries that were read over the connection so far.
    pub fn end(&self) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }

    /// Records that all changes that had returned when a ping was sent have been reported.
    pub fn answered(&self, sent: Moment) {
        self.valid_as_of.fetch_max(nanos(sent) + 1, Ordering::SeqCst);
    }

    /// Returns how long ago the last answered ping was sent; `None` before one was.
    pub(crate) fn age(&self, now: Moment) -> Option<Duration> {
        let sent = self.valid_as_of.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_nanos(nanos(now).saturating_sub(sent)))
    }

    /// Records what the server's clock showed, in milliseconds, between two moments.
    pub fn read_clock(&self, sent: Moment, now: Moment, server: Option<u64>) {
        if let Some(server) = server {
            // In the middle of the round trip: wrong by half of it at most.
            let half = millis(sent).midpoint(millis(now));
            self.ahead.store(signed(server).saturating_sub(signed(half)), Ordering::Relaxed);
        }
    }
}

impl Sourced {
    /// Returns `true` unless its entries have ended.
    pub(crate) fn is_current(&self) -> bool {
        self.source.ended.load(Ordering::SeqCst) == self.ended
    }

    /// Returns `true` if the connection vouches for its entries.
    #[inline]
    pub(crate) fn vouches(&self, now: Moment, max_staleness: Duration) -> bool {
        let valid_as_of = self.source.valid_as_of.load(Ordering::Acquire);
        let bound = u64::try_from(max_staleness.as_nanos()).unwrap_or(u64::MAX);
        valid_as_of > 0
            && nanos(now).saturating_sub(valid_as_of - 1) <= bound
            && self.source.ended.load(Ordering::Acquire) == self.ended
    }

    /// Returns an estimate of the server's clock in milliseconds, if it was read.
    pub(crate) fn server_millis(&self, now: Moment) -> Option<u64> {
        let ahead = self.source.ahead.load(Ordering::Relaxed);
        (ahead != UNKNOWN)
            .then(|| u64::try_from(signed(millis(now)).saturating_add(ahead)).unwrap_or_default())
    }
}

fn nanos(moment: Moment) -> u64 {
    u64::try_from(moment.since(Moment::default()).as_nanos()).unwrap_or(u64::MAX)
}

fn millis(moment: Moment) -> u64 {
    nanos(moment) / 1_000_000
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}
