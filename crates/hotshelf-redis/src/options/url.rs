//! Parsing and displaying options as a URL.

use std::borrow::Cow;
use std::fmt;

use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::{Endpoint, Tracking};
use percent_encoding::percent_decode_str;
use url::Url;

use super::{
    Address, Credentials, DEFAULT_CONNECT_TIMEOUT, DEFAULT_READ_TIMEOUT, DEFAULT_STORE_TIMEOUT,
    Deployment, RedisOptions, TlsOptions,
};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// A parsed scheme.
struct Scheme {
    kind: Kind,
    tls: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Standalone,
    Unix,
    Sentinel,
    Cluster,
}

impl Scheme {
    fn read(text: &str) -> Result<Self, Error> {
        let hyphenated = text.replace('-', "+");
        let (base, kind) = match hyphenated.split_once('+') {
            None if text == "unix" => ("redis", Kind::Unix),
            None => (hyphenated.as_str(), Kind::Standalone),
            Some((base, "unix")) => (base, Kind::Unix),
            Some((base, "sentinel")) => (base, Kind::Sentinel),
            Some((base, "cluster")) => (base, Kind::Cluster),
            Some(_) => ("", Kind::Standalone),
        };
        match base {
            "redis" | "valkey" => Ok(Self { kind, tls: false }),
            "rediss" | "valkeys" if kind != Kind::Unix => Ok(Self { kind, tls: true }),
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "unknown scheme {text:?}: use memory, redis, rediss, unix, \
                     redis+sentinel or redis+cluster"
                ),
            )),
        }
    }
}

pub(super) fn read(text: &str) -> Result<RedisOptions, Error> {
    let (text, others) = split_hosts(text);
    let url = Url::parse(&text).map_err(|error| {
        invalid(format!("invalid URL ({error}): use redis://[user:password@]host:port/database"))
    })?;
    reject_fragment(&url)?;
    let scheme = Scheme::read(url.scheme())?;
    if scheme.tls && !cfg!(feature = "tls") {
        let message = "TLS is not part of this build: enable the feature `tls` for rediss://";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let (deployment, database) = deployment(&url, &others, scheme.kind)?;
    let user = Some(url.username()).filter(|user| !user.is_empty()).map(decode).transpose()?;
    let password = url.password().map(decode).transpose()?;
    let mut options = RedisOptions {
        deployment,
        own_credentials: Credentials { user, password, valid_for: None },
        provider: None,
        sentinel_credentials: Credentials::default(),
        database,
        client_name: None,
        protocol: 3,
        tracking: Tracking::OptIn,
        tls: scheme.tls.then(TlsOptions::default),
        sentinel_tls: None,
        connect_timeout: DEFAULT_CONNECT_TIMEOUT,
        read_timeout: DEFAULT_READ_TIMEOUT,
        store_timeout: DEFAULT_STORE_TIMEOUT,
    };
    options.read_query(&url)?;
    match options {
        RedisOptions { deployment: Deployment::Cluster(_), database: 1.., .. } => {
            Err(invalid("invalid database in the URL: remove it, a Cluster has only database 0"))
        }
        options => Ok(options),
    }
}

/// Splits all hosts but the first from a URL: the parser accepts only one.
fn split_hosts(text: &str) -> (Cow<'_, str>, Vec<&str>) {
    let Some((scheme, rest)) = text.split_once("://") else { return (text.into(), Vec::new()) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let start = authority.rfind('@').map_or(0, |at| at + 1);
    let (login, hosts) = authority.split_at(start);
    let mut hosts = hosts.split(',');
    let first = hosts.next().unwrap_or_default();
    let others: Vec<&str> = hosts.collect();
    match others.is_empty() {
        true => (text.into(), others),
        false => (format!("{scheme}://{login}{first}{tail}").into(), others),
    }
}

fn deployment(url: &Url, others: &[&str], kind: Kind) -> Result<(Deployment, u64), Error> {
    let endpoints = |port| -> Result<Vec<Endpoint>, Error> {
        let other = |text: &&str| match Url::parse(&format!("redis://{text}")) {
            Ok(url) => endpoint(&url, port),
            Err(_) => Err(invalid("invalid host in the URL: use host:port,host:port")),
        };
        std::iter::once(endpoint(url, port)).chain(others.iter().map(other)).collect()
    };
    match kind {
        Kind::Standalone | Kind::Unix if !others.is_empty() => Err(invalid(
            "several hosts in the URL: use redis+cluster:// for a Cluster, or \
             redis+sentinel://…/service for Sentinels",
        )),
        Kind::Standalone => {
            let address = Address::Tcp(endpoint(url, PORT)?);
            Ok((Deployment::Standalone(address), path_database(url.path())?))
        }
        Kind::Unix => Ok((Deployment::Standalone(unix(url)?), 0)),
        Kind::Cluster => Ok((Deployment::Cluster(endpoints(PORT)?), path_database(url.path())?)),
        Kind::Sentinel => {
            let path = url.path().trim_matches('/');
            let (service, database) = path.split_once('/').unwrap_or((path, ""));
            if service.is_empty() {
                return Err(invalid(
                    "missing service in the URL: use redis+sentinel://host:port/service",
                ));
            }
            let (service, sentinels) = (decode(service)?, endpoints(SENTINEL_PORT)?);
            Ok((Deployment::Sentinel { service, sentinels }, path_database(database)?))
        }
    }
}

fn endpoint(url: &Url, port: u16) -> Result<Endpoint, Error> {
    let host = match url.host() {
        Some(url::Host::Domain(name)) if !name.is_empty() => decode(name)?,
        Some(url::Host::Ipv4(address)) => address.to_string(),
        Some(url::Host::Ipv6(address)) => address.to_string(),
        _ => return Err(invalid("missing host in the URL: use redis://host:port")),
    };
    Ok(Endpoint::new(host, url.port().unwrap_or(port)))
}

fn unix(url: &Url) -> Result<Address, Error> {
    let path = decode(url.path())?;
    if url.host_str().is_some_and(|host| !host.is_empty()) || path.len() < 2 {
        return Err(invalid(
            "invalid Unix socket in the URL: use its absolute path, as in unix:///run/redis.sock",
        ));
    }
    Ok(Address::Unix(path))
}

fn path_database(path: &str) -> Result<u64, Error> {
    match path.trim_matches('/') {
        "" => Ok(0),
        text => database(text),
    }
}

/// Parses a database number. The error doesn't contain the text: it may be part of a password
/// with an unencoded `/`.
fn database(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| {
        invalid(
            "invalid database in the URL: use a number, as in redis://host:port/0, and \
             percent-encode `/` (%2F) if it is part of the password",
        )
    })
}

/// Returns an error for a URL with a fragment. In other clients `#insecure` turns certificate
/// checks off; here that takes an explicit option.
fn reject_fragment(url: &Url) -> Result<(), Error> {
    match url.fragment() {
        None => Ok(()),
        Some(_) => Err(invalid(
            "unsupported fragment in the URL: percent-encode `#` (%23) if it is part of the \
             password",
        )),
    }
}

fn decode(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| invalid("invalid percent-encoding in the URL: use UTF-8"))
}

fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

impl RedisOptions {
    fn read_query(&mut self, url: &Url) -> Result<(), Error> {
        let has_sentinels = self.has_sentinels();
        let pairs = url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        for pair in pairs {
            // Not as in a form: a `+` is a `+`, which passwords may contain.
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value)?;
            match name {
                "db" => self.database = database(&value)?,
                "user" => self.own_credentials.user = Some(value),
                "password" => self.own_credentials.password = Some(value),
                "client_name" => self.client_name = Some(value),
                "protocol" => {
                    self.protocol = value.parse().map_err(|_| {
                        invalid("invalid protocol in the URL: use ?protocol=2 or ?protocol=3")
                    })?;
                }
                "sentinel_user" if has_sentinels => {
                    self.sentinel_credentials.user = Some(value);
                }
                "sentinel_password" if has_sentinels => {
                    self.sentinel_credentials.password = Some(value);
                }
                _ => {
                    return Err(invalid(
                        "unknown query parameter in the URL: use db, user, password, \
                         client_name, protocol and, with Sentinels, sentinel_user and \
                         sentinel_password; percent-encode `?` (%3F) if it is part of the \
                         password",
                    ));
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for RedisOptions {
    /// Writes the URL, with `***` for passwords.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secure = if self.tls.is_some() { "s" } else { "" };
        let kind = match &self.deployment {
            Deployment::Standalone(Address::Tcp(_)) => format!("redis{secure}"),
            Deployment::Standalone(Address::Unix(_)) => "unix".to_owned(),
            Deployment::Sentinel { .. } => format!("redis{secure}+sentinel"),
            Deployment::Cluster(_) => format!("redis{secure}+cluster"),
        };
        write!(formatter, "{kind}://")?;
        match (&self.own_credentials.user, &self.own_credentials.password) {
            (user, Some(_)) => write!(formatter, "{}:***@", user.as_deref().unwrap_or_default())?,
            (Some(user), None) => write!(formatter, "{user}@")?,
            (None, None) => {}
        }
        let all = |endpoints: &[Endpoint]| {
            endpoints.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(",")
        };
        let database = self.database;
        match &self.deployment {
            Deployment::Standalone(Address::Unix(path)) => {
                write!(formatter, "{path}?db={database}")
            }
            Deployment::Standalone(address) => write!(formatter, "{address}/{database}"),
            Deployment::Sentinel { service, sentinels } => {
                write!(formatter, "{}/{service}/{database}", all(sentinels))
            }
            Deployment::Cluster(seeds) => formatter.write_str(&all(seeds)),
        }
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
    fn every_form_of_url_is_parsed() {
        assert_eq!(shown("redis://localhost"), "redis://localhost:6379/0");
        assert_eq!(shown("valkey://cache:6380/2"), "redis://cache:6380/2");
        assert_eq!(shown("redis://[::1]:6380"), "redis://[::1]:6380/0");
        assert_eq!(shown("redis://host?db=3&client_name=web"), "redis://host:6379/3");
        assert_eq!(shown("unix:///run/redis.sock?db=1"), "unix:///run/redis.sock?db=1");
        assert_eq!(
            shown("redis+cluster://a,b:7001,[::1]:7002"),
            "redis+cluster://a:6379,b:7001,[::1]:7002"
        );
        assert_eq!(
            shown("valkey-sentinel://u:p@a,b:5/main/2?sentinel_password=x"),
            "redis+sentinel://u:***@a:26379,b:5/main/2"
        );
    }

    #[test]
    fn passwords_are_parsed_and_never_shown() {
        let options = RedisOptions::from_url("redis://host?user=a&password=x+y%20z").unwrap();
        assert_eq!(options.own_credentials.password.as_deref(), Some("x+y z"));
        let options = RedisOptions::from_url("redis://alice:p%40ss%2Fw@host").unwrap();
        assert_eq!(options.own_credentials.password.as_deref(), Some("p@ss/w"));
        assert_eq!(options.to_string(), "redis://alice:***@host:6379/0");
        assert!(!format!("{options:?}").contains("ss/w"), "{options:?}");
        assert_eq!(shown("redis://:secret@host"), "redis://:***@host:6379/0");
        assert_eq!(shown("unix:///redis.sock?user=a&password=s"), "unix://a:***@/redis.sock?db=0");
        let sentinels = "redis+sentinel://a/main?sentinel_user=s&sentinel_password=sekret";
        let options = RedisOptions::from_url(sentinels).unwrap();
        assert_eq!(options.sentinel_credentials.password.as_deref(), Some("sekret"));
        assert!(!format!("{options} {options:?}").contains("sekret"), "{options:?}");
    }

    #[test]
    fn user_needs_a_password() {
        let validated = |url: &str| RedisOptions::from_url(url).unwrap().validate();
        for url in ["redis://app@host", "redis://host?user=app", "redis+cluster://app@a,b"] {
            assert_eq!(validated(url).unwrap_err().kind(), ErrorKind::Configuration, "{url}");
        }
        for url in ["redis://app:secret@host", "redis://:secret@host", "redis://a?user=b&password="]
        {
            assert!(validated(url).is_ok(), "{url}");
        }
        assert!(validated("redis://host?client_name=a%20b").is_err());
        assert!(validated("redis://host?protocol=2").is_ok());
        assert!(validated("redis://host?protocol=4").is_err());
    }

    #[test]
    fn errors_do_not_show_passwords() {
        for url in [
            "redis://u:sekret@",
            "redis://u:sekret@host/x",
            "redis://u:sekret@host:99999",
            "redis://u:sek#ret@host",
            "redis://u:sekret@host?sekret=1",
            "redis://u:sekret@host?sentinel_password=sekret",
            "redis://u:/sekret@host:6379",
            "redis://u:12/sekret@host",
            "redis://u:1?sekret@host",
            "redis://u:sekret@a,b",
            "unix://u:sekret@host/x",
            "redis+cluster://u:sekret@a,b/1",
            "redis+cluster://u:sekret@a,b:x",
            "redis+sentinel://u:sekret@a,b",
            "redis+sentinel://u:sekret@a,b/main/x",
            "sekret",
            "",
        ] {
            let error = refused(url);
            assert_eq!(error.kind(), ErrorKind::Configuration, "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("sek"), "{error:?}");
        }
    }

    #[test]
    fn unknown_schemes_are_unsupported() {
        for url in ["http://a", "redis+other://a", "rediss+unix:///a"] {
            assert_eq!(refused(url).kind(), ErrorKind::Unsupported, "{url}");
        }
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn tls_error_names_its_feature() {
        assert!(refused("rediss://host").to_string().contains("feature `tls`"));
        assert!(refused("rediss+cluster://host").to_string().contains("feature `tls`"));
    }
}
