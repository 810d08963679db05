//! Callers that load and write rows through a cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hotshelf::{Cache, CacheStats};

use crate::report::Report;
use crate::rows::{ROWS, Rows};

/// The longest loader.
const LOAD: Duration = Duration::from_millis(40);

/// The callers of a process.
pub(crate) struct Callers {
    pub(crate) cache: Cache<u64>,
    rows: Rows,
    random: AtomicU64,
    calls: AtomicU64,
    writes: AtomicU64,
    stale: AtomicU64,
    longest_wait: AtomicU64,
    pub(crate) stopped: AtomicBool,
}

impl Callers {
    pub(crate) fn new(cache: Cache<u64>, rows: Rows, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            cache,
            rows,
            random: AtomicU64::new(seed),
            calls: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            longest_wait: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        })
    }

    /// Calls until it is stopped.
    pub(crate) async fn run(&self, measures_waits: bool) {
        while !self.stopped.load(Ordering::Relaxed) {
            let row = self.below(ROWS);
            match self.below(20) {
                0 => self.write(row).await,
                _ => self.get(row, measures_waits).await,
            }
            pause(Duration::from_millis(self.below(5))).await;
        }
    }

    async fn get(&self, row: u64, measures_waits: bool) {
        let published = self.rows.published(row).await;
        let (began, mut loaded) = (now(), false);
        let value = self.cache.get_or_insert_with(row, async || {
            loaded = true;
            let version = self.rows.read(row).await;
            pause(Duration::from_millis(10 + self.below(LOAD.as_millis() as u64 - 10))).await;
            version
        });
        let value = *value.await;
        self.calls.fetch_add(1, Ordering::Relaxed);
        if value < published {
            self.stale.fetch_add(1, Ordering::Relaxed);
        }
        if measures_waits && !loaded {
            let wait = began.elapsed().saturating_sub(LOAD).as_micros() as u64;
            self.longest_wait.fetch_max(wait, Ordering::Relaxed);
        }
    }

    async fn write(&self, row: u64) {
        let write = async || {
            let version = self.rows.write(row).await;
            pause(Duration::from_millis(self.below(5))).await;
            Ok::<_, std::convert::Infallible>(version)
        };
        let Ok(written) = self.cache.write_through(row, write).await;
        self.writes.fetch_add(1, Ordering::Relaxed);
        if written.cached().is_ok() {
            self.rows.publish(row, *written).await;
        }
    }

    pub(crate) fn report(&self, stats: CacheStats) -> Report {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Report {
            calls: read(&self.calls),
            writes: read(&self.writes),
            errors: stats.errors + stats.degraded,
            stale: read(&self.stale),
            longest_wait: read(&self.longest_wait),
            ..Report::default()
        }
    }

    /// Returns a random number, by the generator "SplitMix64" (Steele et al., 2014).
    pub(crate) fn below(&self, bound: u64) -> u64 {
        let step = 0x9E37_79B9_7F4A_7C15;
        let mut bits = self.random.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ bits >> 31) % bound.max(1)
    }
}

#[expect(clippy::disallowed_methods, reason = "real processes run in real time")]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[expect(clippy::disallowed_methods, reason = "real processes run in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
