//! Where the server is, and how long to wait for it.

use std::fmt;
use std::time::Duration;

use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::Login;
use percent_encoding::percent_decode_str;
use url::Url;

/// Where the server is, who we are there, and how long to wait for it.
///
/// `Debug` and `Display` never show the password.
#[derive(Clone)]
pub struct RedisOptions {
    pub(crate) address: Address,
    user: Option<String>,
    password: Option<String>,
    database: u64,
    pub(crate) client_name: Option<String>,
    pub(crate) root_certificates: Option<Vec<u8>>,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) store_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp { host: String, port: u16, tls: bool },
    Unix(String),
}

const DEFAULT_PORT: u16 = 6379;

impl RedisOptions {
    /// Reads `redis://[user[:password]@]host[:port][/database]`, the same with `rediss://`
    /// for TLS, or `unix:///path`.
    ///
    /// `valkey://` and `valkeys://` mean the same as `redis://` and `rediss://`. All of
    /// them take `?db=…&user=…&password=…&client_name=…`. What can't stand in a URL, in a
    /// password above all, is percent-encoded.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for a URL that is wrong, of kind
    /// [`ErrorKind::Unsupported`] for one that this build can't serve. Neither shows the
    /// password.
    pub fn from_url(text: &str) -> Result<Self, Error> {
        let url = Url::parse(text).map_err(|error| {
            wrong(format!(
                "the URL can't be read ({error}); write redis://[user:password@]host:port/database"
            ))
        })?;
        reject_fragment(&url)?;
        let (address, database) = match url.scheme() {
            "redis" | "valkey" => (tcp(&url, false)?, path_database(&url)?),
            "rediss" | "valkeys" => (tls(&url)?, path_database(&url)?),
            "unix" | "redis+unix" | "valkey+unix" => (unix(&url)?, 0),
            other => return Err(unsupported(other)),
        };
        let mut options = Self {
            address,
            user: Some(url.username()).filter(|user| !user.is_empty()).map(decode).transpose()?,
            password: url.password().map(decode).transpose()?,
            database,
            client_name: None,
            root_certificates: None,
            connect_timeout: Duration::from_millis(250),
            read_timeout: Duration::from_millis(100),
            store_timeout: Duration::from_millis(250),
        };
        options.read_query(&url)?;
        Ok(options)
    }

    /// Sets how long connecting may take, handshake included. Default: 250 ms.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long a read, or an acquire, may take. Default: 100 ms.
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// Sets how long a write or an invalidation may take. Default: 250 ms.
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// Sets the name that `CLIENT LIST` shows for our connection. Default: none.
    #[must_use]
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = Some(name.into());
        self
    }

    /// Sets the certificate authorities, in PEM, that TLS trusts instead of the system's.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Says who we are on the server.
    pub(crate) fn login(&self) -> Login {
        let mut login = Login::default();
        login.user = self.user.clone();
        login.password = self.password.clone();
        login.database = self.database;
        login.client_name = self.client_name.clone();
        login.library = Some(("hotshelf".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
        login
    }

    fn read_query(&mut self, url: &Url) -> Result<(), Error> {
        for (name, value) in url.query_pairs() {
            match &*name {
                "db" => self.database = database(&value)?,
                "user" => self.user = Some(value.into_owned()),
                "password" => self.password = Some(value.into_owned()),
                "client_name" => self.client_name = Some(value.into_owned()),
                _ => {
                    return Err(wrong(
                        "the URL's query holds a name that is not known: db, user, password and \
                         client_name are; percent-encode `?` (%3F) if it belongs to the password",
                    ));
                }
            }
        }
        Ok(())
    }
}

fn tcp(url: &Url, tls: bool) -> Result<Address, Error> {
    let host = match url.host() {
        Some(url::Host::Domain(name)) if !name.is_empty() => decode(name)?,
        Some(url::Host::Ipv4(address)) => address.to_string(),
        Some(url::Host::Ipv6(address)) => address.to_string(),
        _ => return Err(wrong("the URL names no host; write redis://host:port")),
    };
    Ok(Address::Tcp { host, port: url.port().unwrap_or(DEFAULT_PORT), tls })
}

fn tls(url: &Url) -> Result<Address, Error> {
    if !cfg!(feature = "tls") {
        let message = "TLS is not in this build: enable the feature `tls` for rediss://";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    tcp(url, true)
}

fn unix(url: &Url) -> Result<Address, Error> {
    let path = decode(url.path())?;
    if url.host_str().is_some_and(|host| !host.is_empty()) || path.len() < 2 {
        return Err(wrong(
            "a Unix socket needs an absolute path; write unix:///path/to/redis.sock",
        ));
    }
    Ok(Address::Unix(path))
}

fn path_database(url: &Url) -> Result<u64, Error> {
    match url.path().trim_matches('/') {
        "" => Ok(0),
        text => database(text),
    }
}

/// The text is not shown: it is part of a password in which `/` should have been encoded.
fn database(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| {
        wrong(
            "the URL's database is no number: write redis://host:port/0, and percent-encode \
             `/` (%2F) if it belongs to the password",
        )
    })
}

/// Other clients turn certificate checks off by `#insecure`; a quiet way to do that is
/// none of ours.
fn reject_fragment(url: &Url) -> Result<(), Error> {
    match url.fragment() {
        None => Ok(()),
        Some(_) => Err(wrong(
            "the URL has a part behind `#`, which means nothing here; percent-encode it (%23) \
             if it belongs to the password",
        )),
    }
}

fn unsupported(scheme: &str) -> Error {
    let message = match scheme {
        text if text.contains("sentinel") => {
            "Sentinel is not built yet; connect to the primary by redis://".to_owned()
        }
        text if text.contains("cluster") => {
            "Cluster is not built yet; connect to a standalone server by redis://".to_owned()
        }
        other => format!("the scheme {other:?} is unknown; use memory, redis, rediss or unix"),
    };
    Error::new(ErrorKind::Unsupported, message)
}

fn decode(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| wrong("a percent-encoded part of the URL is no UTF-8"))
}

fn wrong(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

impl fmt::Display for RedisOptions {
    /// Shows the URL without the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match &self.address {
            Address::Tcp { tls: false, .. } => "redis",
            Address::Tcp { tls: true, .. } => "rediss",
            Address::Unix(_) => "unix",
        };
        write!(formatter, "{scheme}://")?;
        match (&self.user, &self.password) {
            (user, Some(_)) => write!(formatter, "{}:***@", user.as_deref().unwrap_or_default())?,
            (Some(user), None) => write!(formatter, "{user}@")?,
            (None, None) => {}
        }
        match &self.address {
            Address::Unix(path) => write!(formatter, "{path}?db={}", self.database),
            Address::Tcp { host, port, .. } if host.contains(':') => {
                write!(formatter, "[{host}]:{port}/{}", self.database)
            }
            Address::Tcp { host, port, .. } => write!(formatter, "{host}:{port}/{}", self.database),
        }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("RedisOptions");
        debug.field("url", &self.to_string());
        debug.field("client_name", &self.client_name);
        debug.field("connect_timeout", &self.connect_timeout);
        debug.field("read_timeout", &self.read_timeout);
        debug.field("store_timeout", &self.store_timeout).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        RedisOptions::from_url(url).unwrap().to_string()
    }

    fn refused(url: &str) -> Error {
        RedisOptions::from_url(url).unwrap_err()
    }

    #[test]
    fn urls_are_read_in_all_their_forms() {
        assert_eq!(shown("redis://localhost"), "redis://localhost:6379/0");
        assert_eq!(shown("valkey://cache:6380/2"), "redis://cache:6380/2");
        assert_eq!(shown("redis://[::1]:6380"), "redis://[::1]:6380/0");
        assert_eq!(shown("redis://host?db=3&client_name=web"), "redis://host:6379/3");
        assert_eq!(shown("unix:///run/redis.sock?db=1"), "unix:///run/redis.sock?db=1");
    }

    #[test]
    fn a_password_is_read_and_never_shown() {
        let options = RedisOptions::from_url("redis://alice:p%40ss%2Fw@host").unwrap();
        assert_eq!(options.password.as_deref(), Some("p@ss/w"));
        assert_eq!(options.to_string(), "redis://alice:***@host:6379/0");
        assert!(!format!("{options:?}").contains("ss/w"), "{options:?}");
        assert_eq!(shown("redis://:secret@host"), "redis://:***@host:6379/0");
        assert_eq!(shown("unix:///redis.sock?user=a&password=s"), "unix://a:***@/redis.sock?db=0");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for url in [
            "redis://u:sekret@",
            "redis://u:sekret@host/x",
            "redis://u:sekret@host:99999",
            "redis://u:sek#ret@host",
            "redis://u:sekret@host?sekret=1",
            "redis://u:/sekret@host:6379",
            "redis://u:12/sekret@host",
            "redis://u:1?sekret@host",
            "unix://u:sekret@host/x",
            "sekret",
            "",
        ] {
            let error = refused(url);
            assert_eq!(error.kind(), ErrorKind::Configuration, "{url}");
            assert!(!format!("{error} {error:?}").contains("sek"), "{error:?}");
        }
    }

    #[test]
    fn what_is_not_built_says_so() {
        for url in ["redis+sentinel://a:1/x", "redis-cluster://a", "http://a"] {
            assert_eq!(refused(url).kind(), ErrorKind::Unsupported, "{url}");
        }
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn tls_names_its_feature() {
        assert!(refused("rediss://host").to_string().contains("feature `tls`"));
    }
}
