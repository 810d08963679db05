//! The options of a cache, with their defaults.

use std::time::Duration;

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
        }
    }
}

impl CacheOptions {
    pub(crate) fn validate(&self) -> Result<Validated, Error> {
        if self.epoch && self.strict_plain {
            let message = "plain entries cannot carry an epoch: remove `epoch` or `strict_plain`";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        Ok(Validated {
            ttl: Ttl::new(self.time_to_live)?,
            negative_ttl: self.negative_ttl.validate()?,
            format: match self.strict_plain {
                true => Format::Plain,
                false => Format::Trailer(self.foreign),
            },
        })
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
