//! Settings from the environment.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::staleness::Staleness;

/// Settings of the service; all of them have defaults.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// `ADDRESS`: the address to listen on; default `127.0.0.1:8000`.
    pub address: String,
    /// `DATABASE_URL`: `sqlite:…` or `postgres://…`; default `sqlite::memory:`.
    pub database_url: String,
    /// `REDIS_URL`: the Redis for entries; default: in the memory of this process.
    pub redis_url: Option<String>,
    /// `NEAR_TIER`: `1` to keep what is read from Redis in the memory of this process, too.
    pub has_near_tier: bool,
    /// `TIME_TO_LIVE`: how long products and pages are fresh, in seconds.
    pub time_to_live: Option<Duration>,
    /// `STALE_…`, `ERROR_…` and `…_TIMEOUT`, in seconds: see [`Staleness`].
    pub staleness: Staleness,
    /// `DEBUG`: `1` to serve `/cache/explain`.
    pub is_debug: bool,
    /// `ADMIN`: `open` to serve the admin page at `/admin` to everybody, who may invalidate.
    pub has_admin_page: bool,
    /// `DEMO`: `1` to serve `/demo/database`, which breaks the database and repairs it.
    pub is_demo: bool,
}

/// A setting that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    name: &'static str,
    value: String,
}

impl Config {
    /// Reads the settings by their names; an empty one counts as unset.
    ///
    /// # Errors
    /// Fails if a duration is not a number of seconds.
    pub fn read(setting: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSetting> {
        let setting = |name: &'static str| setting(name).filter(|value| !value.is_empty());
        Ok(Self {
            address: setting("ADDRESS").unwrap_or_else(|| "127.0.0.1:8000".to_owned()),
            database_url: setting("DATABASE_URL").unwrap_or_else(|| "sqlite::memory:".to_owned()),
            redis_url: setting("REDIS_URL"),
            has_near_tier: setting("NEAR_TIER").as_deref() == Some("1"),
            time_to_live: match setting("TIME_TO_LIVE") {
                None => None,
                text => Some(seconds("TIME_TO_LIVE", text, Duration::ZERO)?),
            },
            staleness: Staleness::read(setting)?,
            is_debug: setting("DEBUG").as_deref() == Some("1"),
            has_admin_page: setting("ADMIN").as_deref() == Some("open"),
            is_demo: setting("DEMO").as_deref() == Some("1"),
        })
    }

    /// Returns the scheme of the cache's URL, for display, or `memory`.
    #[must_use]
    pub fn cache_scheme(&self) -> &str {
        self.redis_url.as_deref().map_or("memory", scheme)
    }

    /// Returns the scheme of the database's URL, for display.
    #[must_use]
    pub fn database_scheme(&self) -> &str {
        scheme(&self.database_url)
    }
}

impl fmt::Debug for Config {
    /// Shows only the scheme of URLs: the rest may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("address", &self.address)
            .field("database", &self.database_scheme())
            .field("cache", &self.cache_scheme())
            .finish()
    }
}

/// Returns a setting in seconds.
pub(crate) fn seconds(
    name: &'static str,
    value: Option<String>,
    default: Duration,
) -> Result<Duration, InvalidSetting> {
    let Some(value) = value else { return Ok(default) };
    let time = value.parse().ok().and_then(|time| Duration::try_from_secs_f64(time).ok());
    time.ok_or(InvalidSetting { name, value })
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value } = self;
        write!(f, "{name} is {value:?}: set a number of seconds, such as 30 or 0.5")
    }
}

impl Error for InvalidSetting {}

/// Returns the part of a URL before its first colon.
fn scheme(url: &str) -> &str {
    url.split_once(':').map_or("", |(scheme, _)| scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_settings_have_defaults() {
        for setting in [None, Some(String::new())] {
            let config = Config::read(|_| setting.clone()).unwrap();
            assert_eq!(config.address, "127.0.0.1:8000");
            assert_eq!(config.database_url, "sqlite::memory:");
            assert_eq!((config.redis_url, config.has_near_tier), (None, false));
            assert_eq!((config.staleness, config.is_debug), (Staleness::default(), false));
        }
    }

    #[test]
    fn durations_are_seconds() {
        let read = |text: &'static str| {
            Config::read(move |name| (name == "ERROR_THROTTLE").then(|| text.to_owned()))
        };
        for (text, millis) in [("0", 0), ("0.5", 500), ("90", 90_000)] {
            let read = read(text).unwrap().staleness.error_throttle;
            assert_eq!(read, Duration::from_millis(millis), "{text}");
        }
        for text in ["soon", "-1", "1s", "NaN", "1e99"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("ERROR_THROTTLE") && error.contains(text), "{error}");
        }
    }

    #[test]
    fn passwords_are_redacted() {
        let url = |name: &str| name.ends_with("URL").then(|| format!("{name}://user:secret@host"));
        let config = Config::read(url).unwrap();
        assert_eq!(config.redis_url.as_deref(), Some("REDIS_URL://user:secret@host"));
        let shown = format!("{:?}", Config { address: "[::1]:80".to_owned(), ..config });
        assert!(shown.contains("[::1]:80") && shown.contains("REDIS_URL"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
