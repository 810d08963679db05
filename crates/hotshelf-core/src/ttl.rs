//! Lifetimes of entries.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::runtime::Runtime;

/// The lifetime of an entry: at least one millisecond, at most [`Ttl::MAX`].
///
/// Backends use whole milliseconds, so that lifetimes below one second work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(Duration);

impl Ttl {
    /// The shortest lifetime: one millisecond.
    pub const MIN: Self = Self(Duration::from_millis(1));

    /// The longest lifetime: 100 years of 365 days.
    pub const MAX: Self = Self(Duration::from_secs(100 * 365 * 24 * 60 * 60));

    /// Creates a lifetime, rounded up to whole milliseconds. [`Duration::MAX`], which usually
    /// stands for "forever", becomes [`Ttl::MAX`].
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Configuration`] for zero, and for more than
    /// [`Ttl::MAX`].
    pub fn new(duration: Duration) -> Result<Self, Error> {
        if duration.is_zero() {
            return Err(Error::new(
                ErrorKind::Configuration,
                "invalid TTL 0s: use a positive duration, or bypass the cache",
            ));
        }
        if duration > Self::MAX.0 && duration != Duration::MAX {
            return Err(Error::new(
                ErrorKind::Configuration,
                format!("invalid TTL {duration:?}: use at most 100 years"),
            ));
        }
        Ok(Self::clamped(duration.as_nanos().div_ceil(1_000_000)))
    }

    /// Returns the lifetime as a duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// Returns the lifetime in milliseconds.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    fn clamped(millis: u128) -> Self {
        let longest = Self::MAX.0.as_millis();
        let millis = u64::try_from(millis.clamp(1, longest)).unwrap_or(u64::MAX);
        Self(Duration::from_millis(millis))
    }
}

/// How long an entry lives: fresh at first, and then stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// How long the value is fresh.
    pub(crate) fresh: Ttl,
    /// How long the entry lives in all.
    pub(crate) whole: Ttl,
}

impl Lifetime {
    /// Returns the lifetime of an entry that may be served for `window` after it was fresh.
    pub(crate) fn with_window(fresh: Ttl, window: Duration) -> Self {
        let whole = match window {
            Duration::ZERO => fresh,
            window => Ttl::clamped(fresh.0.saturating_add(window).as_millis()),
        };
        Self { fresh, whole }
    }

    /// Returns the whole lifetime in milliseconds, if the entry outlives its freshness.
    pub(crate) fn outlives(self) -> Option<u64> {
        (self.whole > self.fresh).then(|| self.whole.as_millis())
    }
}

impl TryFrom<Duration> for Ttl {
    type Error = Error;

    fn try_from(duration: Duration) -> Result<Self, Error> {
        Self::new(duration)
    }
}

/// The random spread of lifetimes, so that entries written together don't expire together.
///
/// The default is ±10 %, uniform. A jittered lifetime is never below one millisecond.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// No spread: every entry has exactly its configured lifetime.
    pub const NONE: Self = Self(0.0);

    /// Spreads lifetimes uniformly over `1 - ratio ..= 1 + ratio` times the configured one.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Configuration`] unless the ratio is from 0 to 1.
    pub fn ratio(ratio: f64) -> Result<Self, Error> {
        if (0.0..=1.0).contains(&ratio) {
            return Ok(Self(ratio));
        }
        let message =
            format!("invalid jitter ratio {ratio}: use a number from 0 to 1 (0.1 is ±10 %)");
        Err(Error::new(ErrorKind::Configuration, message))
    }

    /// Returns the ratio: 0.1 for ±10 %.
    #[must_use]
    pub const fn as_ratio(self) -> f64 {
        self.0
    }

    /// Returns a random lifetime around `ttl`.
    #[must_use]
    pub fn apply(self, ttl: Ttl, runtime: &dyn Runtime) -> Ttl {
        if self.0 == 0.0 {
            return ttl;
        }
        let middle = ttl.as_millis();
        // Uniform over whole milliseconds, `spread` of them on either side.
        let spread = (middle as f64 * self.0) as u64;
        let offset = below(2 * spread + 1, runtime.random());
        Ttl::clamped(u128::from(middle - spread.min(middle)) + u128::from(offset))
    }
}

impl Default for Jitter {
    fn default() -> Self {
        Self(0.1)
    }
}

/// Maps a random number onto `0..bound` by one multiplication (Lemire, "Fast Random Integer
/// Generation in an Interval", 2019), without the step that removes the remaining bias.
pub(crate) fn below(bound: u64, random: u64) -> u64 {
    ((u128::from(random) * u128::from(bound)) >> 64) as u64
}

/// The remaining lifetime of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remaining {
    /// There is no such entry.
    Missing,
    /// The entry never expires. Only plain clients write such entries.
    Persistent,
    /// The entry expires after this time.
    After(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::fixed::FixedRuntime;

    fn millis(count: u64) -> Ttl {
        Ttl::new(Duration::from_millis(count)).unwrap()
    }

    #[test]
    fn zero_and_centuries_are_rejected() {
        let zero = Ttl::new(Duration::ZERO).unwrap_err();
        assert_eq!(zero.kind(), ErrorKind::Configuration);
        assert!(zero.to_string().contains("bypass the cache"), "{zero}");
        assert_eq!(Ttl::new(Duration::MAX).unwrap(), Ttl::MAX);
    }

    #[test]
    fn fractions_of_milliseconds_round_up() {
        assert_eq!(Ttl::new(Duration::from_nanos(1)).unwrap(), Ttl::MIN);
        assert_eq!(Ttl::new(Duration::from_micros(1500)).unwrap().as_millis(), 2);
        assert_eq!(Ttl::new(Ttl::MAX.as_duration()).unwrap(), Ttl::MAX);
    }

    #[test]
    fn jitter_covers_exactly_its_range() {
        let lifetime = |random| Jitter::default().apply(millis(900_000), &FixedRuntime(random));
        assert_eq!(lifetime(0).as_millis(), 810_000);
        assert_eq!(lifetime(u64::MAX / 2).as_millis(), 900_000);
        assert_eq!(lifetime(u64::MAX).as_millis(), 990_000);
    }

    #[test]
    fn jitter_stays_within_valid_ttls() {
        let all = Jitter::ratio(1.0).unwrap();
        assert_eq!(all.apply(Ttl::MIN, &FixedRuntime(0)), Ttl::MIN);
        assert_eq!(all.apply(Ttl::MAX, &FixedRuntime(u64::MAX)), Ttl::MAX);
    }

    #[test]
    fn jitter_is_uniform() {
        let jitter = Jitter::default();
        let mut counts = [0_u32; 21];
        for step in 0..21_000_u64 {
            let random = step * (u64::MAX / 21_000);
            counts[(jitter.apply(millis(100), &FixedRuntime(random)).as_millis() - 90) as usize] +=
                1;
        }
        assert!(counts.iter().all(|count| (990..=1010).contains(count)), "{counts:?}");
    }

    #[test]
    fn invalid_jitter_ratio_is_rejected() {
        for ratio in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Jitter::ratio(ratio).is_err(), "{ratio}");
        }
    }
}
