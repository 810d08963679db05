//! Whether a value is still fresh, and what may be done with one that isn't.

use std::time::Duration;

use crate::context::CacheOptions;
use crate::runtime::Runtime;
use crate::trailer::Trailer;

/// What an entry says of the freshness of its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Freshness {
    /// When its load began, in milliseconds of the server's clock.
    loaded_at: u64,
    /// Until when the value is fresh, in milliseconds of the server's clock.
    until: u64,
    /// How long its load took, in milliseconds.
    load_time: u32,
    /// Whether the entry outlives its freshness.
    outlives: bool,
    /// Whether it is a negative, which is never served stale.
    absent: bool,
}

/// An entry as it was found. Another fill, or an expiry, makes another edition of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edition(u64, u64);

/// How a call may use a value that it was given by its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// The value is fresh.
    Fresh,
    /// It is fresh, and this call should load it anew before it ends.
    RefreshEarly,
    /// It is stale, and may be served while one caller loads it anew.
    WhileRevalidating,
    /// It is stale, and may be served if the load fails or takes too long.
    OnError,
    /// It is too old for any use.
    Expired,
}

impl Freshness {
    pub(crate) fn of(trailer: &Trailer) -> Self {
        Self {
            loaded_at: trailer.loaded_at,
            until: trailer.loaded_at.saturating_add(trailer.fresh_for),
            load_time: u32::try_from(trailer.load_time).unwrap_or(u32::MAX),
            outlives: trailer.lives_for.is_some(),
            absent: trailer.absent,
        }
    }

    pub(crate) fn edition(self) -> Edition {
        Edition(self.loaded_at, self.until)
    }

    pub(crate) fn load_time(self) -> Duration {
        Duration::from_millis(self.load_time.into())
    }

    /// Returns how long ago the load began.
    pub(crate) fn age(self, now: u64) -> Duration {
        Duration::from_millis(now.saturating_sub(self.loaded_at))
    }

    /// Returns how a call of a cache with these options may use the value. `now` returns what the
    /// server's clock shows, if that is known; if it isn't, a value that may be stale is.
    ///
    /// An entry that doesn't outlive its freshness is fresh until its server removes it.
    #[inline]
    pub(crate) fn use_of(
        self,
        options: &CacheOptions,
        runtime: &dyn Runtime,
        now: impl FnOnce() -> Option<u64>,
    ) -> Use {
        if !self.outlives && options.early_refresh <= 0.0 {
            return Use::Fresh;
        }
        let Some(now) = now() else {
            return if self.outlives { self.stale_for(0, options) } else { Use::Fresh };
        };
        if now < self.until {
            let is_early =
                options.early_refresh > 0.0 && self.ends_early(self.until - now, options, runtime);
            return if is_early { Use::RefreshEarly } else { Use::Fresh };
        }
        if self.outlives { self.stale_for(now - self.until, options) } else { Use::Fresh }
    }

    /// Returns for how long the value is fresh if its entry lives for another `left`: as long as
    /// [`use_of`](Self::use_of) says so.
    pub(crate) fn left_of(self, left: Duration, now: impl FnOnce() -> Option<u64>) -> Duration {
        if !self.outlives {
            return left;
        }
        let fresh = now().map_or(0, |now| self.until.saturating_sub(now));
        left.min(Duration::from_millis(fresh))
    }

    fn stale_for(self, past: u64, options: &CacheOptions) -> Use {
        if self.absent {
            return Use::Expired;
        }
        let past = u128::from(past);
        if past < options.stale_while_revalidate.as_millis() {
            Use::WhileRevalidating
        } else if past < options.stale_if_error.as_millis() {
            Use::OnError
        } else {
            Use::Expired
        }
    }

    /// Chooses at random whether a call loads the value before it ends, the more likely the less
    /// time is left and the longer a load takes (XFetch: Vattani, Chierichetti and Lowenstein,
    /// "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015).
    fn ends_early(self, left: u64, options: &CacheOptions, runtime: &dyn Runtime) -> bool {
        let scale = f64::from(self.load_time) * options.early_refresh;
        // Otherwise its chance is below one in 10¹⁵.
        if scale * 36.0 <= left as f64 {
            return false;
        }
        // Uniform in (0, 1].
        let uniform = ((runtime.random() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        -scale * uniform.ln() >= left as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::fixed::FixedRuntime;

    fn options(revalidate: u64, error: u64) -> CacheOptions {
        CacheOptions {
            stale_while_revalidate: Duration::from_millis(revalidate),
            stale_if_error: Duration::from_millis(error),
            ..CacheOptions::default()
        }
    }

    fn use_at(freshness: Freshness, options: &CacheOptions, now: Option<u64>) -> Use {
        freshness.use_of(options, &FixedRuntime(u64::MAX), || now)
    }

    #[test]
    fn windows_begin_where_freshness_ends() {
        let entry =
            Freshness { loaded_at: 0, until: 1_000, load_time: 5, outlives: true, absent: false };
        let both = options(100, 300);
        for (now, expected) in [
            (Some(0), Use::Fresh),
            (Some(999), Use::Fresh),
            (Some(1_000), Use::WhileRevalidating),
            (Some(1_099), Use::WhileRevalidating),
            (Some(1_100), Use::OnError),
            (Some(1_299), Use::OnError),
            (Some(1_300), Use::Expired),
            (Some(u64::MAX), Use::Expired),
            (None, Use::WhileRevalidating),
        ] {
            assert_eq!(use_at(entry, &both, now), expected, "{now:?}");
        }
        assert_eq!(use_at(entry, &options(0, 300), Some(1_000)), Use::OnError);
        assert_eq!(use_at(entry, &options(0, 0), Some(1_000)), Use::Expired);
    }

    #[test]
    fn entry_without_window_is_fresh_until_it_is_removed() {
        let entry =
            Freshness { loaded_at: 0, until: 1_000, load_time: 5, outlives: false, absent: false };
        for now in [Some(0), Some(2_000), None] {
            assert_eq!(use_at(entry, &options(100, 300), now), Use::Fresh);
        }
    }

    #[test]
    fn early_refresh_depends_on_chance_load_time_and_time_left() {
        let early = CacheOptions { early_refresh: 1.0, ..CacheOptions::default() };
        let used = |load_time, left: u64, random| {
            let entry = Freshness {
                loaded_at: 0,
                until: 10_000,
                load_time,
                outlives: false,
                absent: false,
            };
            entry.use_of(&early, &FixedRuntime(random), || Some(10_000 - left))
        };
        // The chance of e^-1, of 0.37, that one load time before its end a call refreshes.
        let at = |chance: f64| (chance * u64::MAX as f64) as u64;
        assert_eq!(used(100, 100, at(0.36)), Use::RefreshEarly);
        assert_eq!(used(100, 100, at(0.38)), Use::Fresh);
        assert_eq!(used(100, 3_600, 0), Use::Fresh, "too early");
        assert_eq!(used(0, 1, 0), Use::Fresh, "loads at once");
    }
}
