//! The options of a cache, with their defaults.

use std::time::Duration;

use crate::backend::Pause;
use crate::error::{Error, ErrorKind};
use crate::ttl::{Jitter, Ttl};

/// The options of a cache. [`Default`] contains the defaults for all languages.
///
/// | option | default |
/// | --- | --- |
/// | `time_to_live` | 300 s |
/// | `jitter` | ±10 % |
/// | `negative_ttl` | [`NegativeTtl::Off`] |
/// | `wait_timeout` | 2 s |
/// | `backend_budget` | 250 ms |
/// | `max_waiters` | 10,000 |
/// | `max_value_bytes` | 1 MiB |
/// | `foreign` | [`Foreign::Reject`] |
/// | `strict_plain` | off |
/// | `epoch` | off |
/// | `near` | on, if the store has a near tier |
/// | `stale_while_revalidate`, `stale_if_error` | off |
/// | `error_throttle` | 30 s |
/// | `early_refresh` | off |
/// | `soft_timeout`, `hard_timeout` | none |
/// | `error_backoff` | off |
/// | `hold` | off |
/// | `plain_readers` | off |
#[derive(Clone, Debug, PartialEq)]
pub struct CacheOptions {
    /// The time to live of entries.
    pub time_to_live: Duration,
    /// The jitter of lifetimes.
    pub jitter: Jitter,
    /// The time to live of cached negatives: the knowledge that a key has no value.
    pub negative_ttl: NegativeTtl,
    /// How long a call waits for the load of another process before it runs its own loader,
    /// without storing the value.
    pub wait_timeout: Duration,
    /// How long a loading call waits for the backend in total, over its read, its lease and
    /// its fill.
    pub backend_budget: Duration,
    /// How many calls of this process may wait for one load of a key. Further calls run their
    /// own loaders and store nothing.
    pub max_waiters: usize,
    /// The maximum size of a stored value, encoded, in bytes.
    pub max_value_bytes: usize,
    /// How untracked entries are treated.
    pub foreign: Foreign,
    /// Whether entries are written as the bare value, without a trailer. Such entries carry no
    /// tags.
    pub strict_plain: bool,
    /// Whether all entries carry a tag of the cache itself, its epoch.
    pub epoch: bool,
    /// Whether entries are kept in the store's near tier, if it has one.
    pub near: bool,
    /// For how long a value is served after it was fresh, while one caller loads it anew. Zero for
    /// not at all.
    pub stale_while_revalidate: Duration,
    /// For how long a value may be served after it was fresh, if its load fails or takes longer
    /// than `soft_timeout`. Zero for not at all.
    pub stale_if_error: Duration,
    /// How long a failed load isn't repeated, by any process, while there is a stale value, or one
    /// that is loaded anew before it ends.
    pub error_throttle: Duration,
    /// How early single callers load a value anew before it ends: the factor beta of XFetch. Zero
    /// for not at all; 1 is the optimum.
    pub early_refresh: f64,
    /// How long a call waits for a load before it is given the stale value.
    pub soft_timeout: Option<Duration>,
    /// How long a call waits for a load before it fails.
    pub hard_timeout: Option<Duration>,
    /// How long a failed load isn't repeated, by any process, if there is no value. Zero for not
    /// at all.
    pub error_backoff: Duration,
    /// For how long an invalidated key can be loaded and not stored. Zero for not at all.
    pub hold: Duration,
    /// Whether plain clients read the entries: then these must not outlive their freshness.
    pub plain_readers: bool,
}

/// The time to live of cached negatives: the knowledge that a key has no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NegativeTtl {
    /// Negatives are not cached.
    #[default]
    Off,
    /// The same as for values.
    SameAsValues,
    /// This time.
    For(Duration),
}

/// How the entries of a cache are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    /// The value alone. Such entries carry no tags.
    Plain,
    /// The value and a [`Trailer`].
    Trailer(Foreign),
}

/// How a cache treats untracked entries: those that were not written by hotshelf, and so
/// carry no trailer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Foreign {
    /// They are misses. This costs one load for each plain write, and guarantees that no
    /// outdated value is served even if plain clients write too.
    #[default]
    Reject,
    /// They are hits for calls that name no tags, and misses for calls that do: an untracked
    /// entry carries no tags, so that no invalidation by tag would reach it. Concurrent writes
    /// of plain clients may leave outdated entries, as without hotshelf.
    Accept,
}

/// The options after validation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validated {
    pub(crate) ttl: Ttl,
    pub(crate) negative_ttl: Negative,
    pub(crate) format: Format,
    /// How long entries outlive their freshness.
    pub(crate) stale_window: Duration,
}

/// A valid [`NegativeTtl`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Negative {
    Off,
    SameAsValues,
    For(Ttl),
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            time_to_live: Duration::from_secs(300),
            jitter: Jitter::default(),
            negative_ttl: NegativeTtl::Off,
            wait_timeout: Duration::from_secs(2),
            backend_budget: Duration::from_millis(250),
            max_waiters: 10_000,
            max_value_bytes: 1 << 20,
            foreign: Foreign::Reject,
            strict_plain: false,
            epoch: false,
            near: true,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            error_throttle: Duration::from_secs(30),
            early_refresh: 0.0,
            soft_timeout: None,
            hard_timeout: None,
            error_backoff: Duration::ZERO,
            hold: Duration::ZERO,
            plain_readers: false,
        }
    }
}

impl CacheOptions {
    pub(crate) fn validate(&self) -> Result<Validated, Error> {
        if self.epoch && self.strict_plain {
            let message = "plain entries cannot carry an epoch: remove `epoch` or `strict_plain`";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        let stale_window = self.stale_while_revalidate.max(self.stale_if_error);
        self.validate_staleness(stale_window)?;
        Ok(Validated {
            ttl: Ttl::new(self.time_to_live)?,
            negative_ttl: self.negative_ttl.validate()?,
            format: match self.strict_plain {
                true => Format::Plain,
                false => Format::Trailer(self.foreign),
            },
            stale_window,
        })
    }

    fn validate_staleness(&self, window: Duration) -> Result<(), Error> {
        let longest = Ttl::MAX.as_duration();
        let has_window = !window.is_zero();
        let message = if has_window && self.strict_plain {
            "plain entries cannot outlive their freshness: remove `strict_plain`, or \
             `stale_while_revalidate` and `stale_if_error`"
        } else if has_window && self.plain_readers {
            "plain clients would read stale values as fresh ones: remove `plain_readers`, or \
             `stale_while_revalidate` and `stale_if_error`"
        } else if self.early_refresh != 0.0 && self.strict_plain {
            "plain entries say nothing about their load: remove `early_refresh` or `strict_plain`"
        } else if !(0.0..=100.0).contains(&self.early_refresh) {
            "invalid `early_refresh`: use a factor from 0 (off) to 100, such as 1"
        } else if window > longest || self.hold > longest {
            "invalid stale window or `hold`: use at most 100 years"
        } else if self.soft_timeout.is_some() && !has_window {
            "`soft_timeout` needs a stale value: set `stale_if_error` or \
             `stale_while_revalidate`, or use `hard_timeout`"
        } else if [self.soft_timeout, self.hard_timeout].contains(&Some(Duration::ZERO)) {
            "invalid timeout of zero: use a positive duration, or none"
        } else if self.hard_timeout.is_some_and(|hard| self.soft_timeout >= Some(hard)) {
            "`soft_timeout` must be shorter than `hard_timeout`"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Configuration, message))
    }

    /// Returns for how long a failed load isn't repeated.
    pub(crate) fn pause(&self) -> Pause {
        let without_entry = self.error_backoff;
        let has_window = !self.stale_while_revalidate.is_zero() || !self.stale_if_error.is_zero();
        let with_entry = match has_window || self.early_refresh > 0.0 {
            true => self.error_throttle.max(without_entry),
            false => without_entry,
        };
        Pause { with_entry, without_entry }
    }
}

impl NegativeTtl {
    pub(crate) fn validate(self) -> Result<Negative, Error> {
        Ok(match self {
            Self::Off => Negative::Off,
            Self::SameAsValues => Negative::SameAsValues,
            Self::For(Duration::ZERO) => Negative::Off,
            Self::For(duration) => Negative::For(Ttl::new(duration)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        let validated = CacheOptions::default().validate().unwrap();
        assert_eq!(validated.ttl.as_millis(), 300_000);
        assert_eq!(validated.format, Format::Trailer(Foreign::Reject));
        assert!(matches!(validated.negative_ttl, Negative::Off));
    }

    #[test]
    fn invalid_options_suggest_a_fix() {
        let message = |options: CacheOptions| {
            let error = options.validate().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            error.to_string()
        };
        let default = CacheOptions::default;
        let zero = CacheOptions { time_to_live: Duration::ZERO, ..default() };
        assert!(message(zero).contains("bypass the cache"));
        let negative = NegativeTtl::For(Ttl::MAX.as_duration() * 2);
        assert!(
            message(CacheOptions { negative_ttl: negative, ..default() }).contains("100 years")
        );
        let both = CacheOptions { epoch: true, strict_plain: true, ..default() };
        assert!(message(both).contains("remove `epoch` or `strict_plain`"));
    }
}
