//! Which stale values the caches serve, and how long they wait for the database.

use std::time::Duration;

use hotshelf::CacheBuilder;
use hotshelf::codec::Json;

use crate::config::{InvalidSetting, seconds};

/// How the caches answer while a value is loaded anew, and while the database is slow or down.
/// Zero switches each of them off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staleness {
    /// `STALE_WHILE_REVALIDATE`: for how long a page is served after its time to live, while it is
    /// loaded anew in the background; default 600 s.
    pub while_revalidating: Duration,
    /// `STALE_IF_ERROR`: for how long after its time to live a page or a product is served if the
    /// database fails; default 3,600 s.
    pub on_error: Duration,
    /// `ERROR_THROTTLE`: how long a failed load isn't repeated while there is a stale value; default
    /// 30 s.
    pub error_throttle: Duration,
    /// `ERROR_BACKOFF`: how long a failed load isn't repeated if there is none; default 1 s.
    pub error_backoff: Duration,
    /// `SOFT_TIMEOUT`: how long a request waits for the database before it is given a stale value;
    /// default 1 s.
    pub soft_timeout: Duration,
    /// `HARD_TIMEOUT`: how long a request waits for the database at all; default 10 s.
    pub hard_timeout: Duration,
}

impl Staleness {
    /// Reads the settings by their names, in seconds.
    pub(crate) fn read(
        setting: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, InvalidSetting> {
        let time = |name, default: Duration| seconds(name, setting(name), default);
        let default = Self::default();
        Ok(Self {
            while_revalidating: time("STALE_WHILE_REVALIDATE", default.while_revalidating)?,
            on_error: time("STALE_IF_ERROR", default.on_error)?,
            error_throttle: time("ERROR_THROTTLE", default.error_throttle)?,
            error_backoff: time("ERROR_BACKOFF", default.error_backoff)?,
            soft_timeout: time("SOFT_TIMEOUT", default.soft_timeout)?,
            hard_timeout: time("HARD_TIMEOUT", default.hard_timeout)?,
        })
    }

    /// Sets what holds for all caches: everything but `while_revalidating`.
    pub(crate) fn on_failure<T>(&self, mut cache: CacheBuilder<T, Json>) -> CacheBuilder<T, Json>
    where
        T: hotshelf::CacheValue,
    {
        cache = cache.error_throttle(self.error_throttle).error_backoff(self.error_backoff);
        if !self.on_error.is_zero() {
            cache = cache.stale_if_error(self.on_error);
            if !self.soft_timeout.is_zero() {
                cache = cache.soft_timeout(self.soft_timeout);
            }
        }
        if !self.hard_timeout.is_zero() {
            cache = cache.hard_timeout(self.hard_timeout);
        }
        cache
    }
}

impl Default for Staleness {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            while_revalidating: seconds(600),
            on_error: seconds(3_600),
            error_throttle: seconds(30),
            error_backoff: seconds(1),
            soft_timeout: seconds(1),
            hard_timeout: seconds(10),
        }
    }
}
