//! Settings from the environment.

use std::fmt;

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
}

impl Config {
    /// Reads the settings by their names; an empty one counts as unset.
    #[must_use]
    pub fn read(setting: impl Fn(&str) -> Option<String>) -> Self {
        let setting = |name| setting(name).filter(|value| !value.is_empty());
        Self {
            address: setting("ADDRESS").unwrap_or_else(|| "127.0.0.1:8000".to_owned()),
            database_url: setting("DATABASE_URL").unwrap_or_else(|| "sqlite::memory:".to_owned()),
            redis_url: setting("REDIS_URL"),
            has_near_tier: setting("NEAR_TIER").as_deref() == Some("1"),
        }
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
            let config = Config::read(|_| setting.clone());
            assert_eq!(config.address, "127.0.0.1:8000");
            assert_eq!(config.database_url, "sqlite::memory:");
            assert_eq!((config.redis_url, config.has_near_tier), (None, false));
        }
    }

    #[test]
    fn passwords_are_redacted() {
        let config = Config::read(|name| Some(format!("{name}://user:secret@host")));
        assert_eq!(config.redis_url.as_deref(), Some("REDIS_URL://user:secret@host"));
        let shown = format!("{:?}", Config { address: "[::1]:80".to_owned(), ..config });
        assert!(shown.contains("[::1]:80") && shown.contains("REDIS_URL"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
