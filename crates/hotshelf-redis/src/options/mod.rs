//! Addresses, credentials and timeouts.

mod credentials;
mod deployment;
mod tls;
mod url;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::Tracking;

pub use credentials::{Credentials, CredentialsProvider};
pub use deployment::Address;
pub(crate) use deployment::Deployment;
pub use tls::TlsOptions;

/// The default of [`RedisOptions::connect_timeout`]: 250 ms.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_millis(250);

/// The default of [`RedisOptions::read_timeout`]: 100 ms.
pub const DEFAULT_READ_TIMEOUT: Duration = Duration::from_millis(100);

/// The default of [`RedisOptions::store_timeout`]: 250 ms.
pub const DEFAULT_STORE_TIMEOUT: Duration = Duration::from_millis(250);

/// The addresses of the servers, the credentials and the timeouts.
///
/// | option | default |
/// | --- | --- |
/// | [`connect_timeout`](Self::connect_timeout) | 250 ms |
/// | [`read_timeout`](Self::read_timeout) | 100 ms |
/// | [`store_timeout`](Self::store_timeout) | 250 ms |
/// | [`tracking`](Self::tracking) | `Tracking::OptIn` |
/// | [`user`](Self::user), [`password`](Self::password), [`database`](Self::database) | the URL's |
/// | [`credentials`](Self::credentials) | the user and the password |
/// | [`client_name`](Self::client_name) | none |
/// | [`protocol`](Self::protocol) | RESP3, and RESP2 where the server doesn't know it |
/// | [`tls`](Self::tls) | with `rediss://`, and the defaults of [`TlsOptions`] |
/// | [`sentinel_tls`](Self::sentinel_tls) | as `tls` |
///
/// `Debug` and `Display` never show a password.
#[derive(Clone)]
pub struct RedisOptions {
    pub(crate) deployment: Deployment,
    /// The credentials in the URL.
    own_credentials: Credentials,
    provider: Option<Arc<dyn CredentialsProvider>>,
    pub(crate) sentinel_credentials: Credentials,
    pub(crate) database: u64,
    pub(crate) client_name: Option<String>,
    /// 2 or 3.
    pub(crate) protocol: u8,
    pub(crate) tracking: Tracking,
    pub(crate) tls: Option<TlsOptions>,
    /// The TLS options of connections to Sentinels, if they differ from those to servers.
    pub(crate) sentinel_tls: Option<Option<TlsOptions>>,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) store_timeout: Duration,
}

impl RedisOptions {
    /// Parses a URL.
    ///
    /// | URL | servers |
    /// | --- | --- |
    /// | `redis://[user[:password]@]host[:port][/database]` | one server |
    /// | `unix:///path` | one server, on a Unix socket |
    /// | `redis+sentinel://[user[:password]@]host[:port][,host[:port]]…/service[/database]` | the primary of a service, found through its Sentinels (port 26379) |
    /// | `redis+cluster://[user[:password]@]host[:port][,host[:port]]…` | a Cluster, found through some of its nodes |
    ///
    /// `rediss` instead of `redis` enables TLS; `valkey` and `valkeys` are synonyms of the
    /// two, and a hyphen is a synonym of `+`. All URLs accept
    /// `?db=…&user=…&password=…&client_name=…&protocol=…`, those of Sentinels also `sentinel_user=…` and
    /// `sentinel_password=…`. Reserved characters have to be percent-encoded, above all in
    /// passwords.
    ///
    /// # Errors
    /// Of kind [`Configuration`](hotshelf_core::ErrorKind::Configuration) for an invalid URL,
    /// of kind [`Unsupported`](hotshelf_core::ErrorKind::Unsupported) for one that this build
    /// doesn't support. Neither error contains the password.
    pub fn from_url(text: &str) -> Result<Self, Error> {
        url::read(text)
    }

    /// Checks the options.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for a timeout of zero, a user without a password, an
    /// invalid client name, or an unknown version of the protocol.
    pub fn validate(&self) -> Result<(), Error> {
        let invalid = |message| Err(Error::new(ErrorKind::Configuration, message));
        let Credentials { user, password, .. } = &self.own_credentials;
        if self.provider.is_none() && user.is_some() && password.is_none() {
            return invalid(
                "user without a password: use redis://user:password@host, redis://:password@host \
                 for a password alone, or ?user=…&password= for a user without one",
            );
        }
        let is_printable = |name: &String| name.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
        if !self.client_name.as_ref().is_none_or(is_printable) {
            return invalid("invalid client name: use printable ASCII characters without spaces");
        }
        if self.database > 0 && matches!(self.deployment, Deployment::Cluster(_)) {
            return invalid("invalid database: a Cluster has only database 0");
        }
        if self.sentinel_tls.is_some() && !self.has_sentinels() {
            return invalid("`sentinel_tls` without Sentinels: use redis+sentinel://…/service");
        }
        if !matches!(self.protocol, 2 | 3) {
            return invalid("unknown version of the protocol: use 2 or 3");
        }

        let timeouts = [
            ("connect_timeout", self.connect_timeout),
            ("read_timeout", self.read_timeout),
            ("store_timeout", self.store_timeout),
        ];
        match timeouts.iter().find(|(_, timeout)| timeout.is_zero()) {
            None => Ok(()),
            Some((name, _)) => Err(Error::new(
                ErrorKind::Configuration,
                format!("invalid {name} 0s: use a positive duration, such as 100 ms"),
            )),
        }
    }

    /// Sets the timeout for connecting, handshake included. Default: 250 ms.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the timeout for reading an entry and for acquiring a lease. Default: 100 ms.
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// Sets the timeout for writes and invalidations. Default: 250 ms.
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// Sets the name of the connections, as shown by `CLIENT LIST`. Default: none.
    #[must_use]
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = Some(name.into());
        self
    }

    /// Sets the user, as in the URL. Default: the URL's, or `default`.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.own_credentials.user = Some(user.into());
        self
    }

    /// Sets the password, as in the URL. Default: the URL's, or none.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.own_credentials.password = Some(password.into());
        self
    }

    /// Sets the number of the database, as in the URL. Default: the URL's, or 0.
    #[must_use]
    pub fn database(mut self, number: u64) -> Self {
        self.database = number;
        self
    }

    /// Enables TLS, even with `redis://`: a typo in the URL must not send a password in the
    /// clear. Default: with `rediss://`, and the defaults of [`TlsOptions`].
    #[must_use]
    pub fn tls(mut self, options: TlsOptions) -> Self {
        self.tls = Some(options);
        self
    }

    /// Sets the TLS options of connections to Sentinels; `None` disables TLS. Default: the
    /// options of connections to servers.
    #[must_use]
    pub fn sentinel_tls(mut self, options: impl Into<Option<TlsOptions>>) -> Self {
        self.sentinel_tls = Some(options.into());
        self
    }

    /// Sets the version of the protocol, 2 or 3. Default: 3, and 2 where the server or a proxy
    /// refuses `HELLO` or closes the connection.
    ///
    /// With version 2, key changes are not reported, and waiting callers poll.
    #[must_use]
    pub fn protocol(mut self, version: u8) -> Self {
        self.protocol = version;
        self
    }

    /// Sets the provider of credentials, for rotating tokens. Default: the credentials in the
    /// URL.
    #[must_use]
    pub fn credentials(mut self, provider: impl CredentialsProvider) -> Self {
        self.provider = Some(Arc::new(provider));
        self
    }

    /// Sets which key changes the servers report: they wake callers that wait for the load of
    /// another process, which would otherwise poll. Default: [`Tracking::OptIn`].
    ///
    /// With [`Tracking::Broadcast`], the prefix of leases (`hs:l:`) is added, and that of tags
    /// (`hs:t:`) if there are others. A near tier then keeps entries whose keys begin with one of
    /// the prefixes, such as `cache:v1:products`. The server remembers nothing for it, but tells
    /// every process of every change under the prefixes: for few processes and few writes.
    /// Without support by the server, or if its ACL denies tracking, callers poll.
    #[must_use]
    pub fn tracking(mut self, tracking: Tracking) -> Self {
        self.tracking = tracking;
        self
    }

    pub(crate) fn has_sentinels(&self) -> bool {
        matches!(self.deployment, Deployment::Sentinel { .. })
    }

    /// Returns the TLS options of connections to Sentinels.
    pub(crate) fn tls_to_sentinels(&self) -> Option<&TlsOptions> {
        self.sentinel_tls.as_ref().unwrap_or(&self.tls).as_ref()
    }

    /// Returns the provider of credentials.
    pub(crate) fn provider(&self) -> Arc<dyn CredentialsProvider> {
        self.provider.clone().unwrap_or_else(|| Arc::new(self.own_credentials.clone()))
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("RedisOptions");
        debug.field("url", &self.to_string());
        debug.field("client_name", &self.client_name).field("protocol", &self.protocol);
        debug.field("tracking", &self.tracking);
        debug.field("connect_timeout", &self.connect_timeout);
        debug.field("read_timeout", &self.read_timeout);
        debug.field("store_timeout", &self.store_timeout).finish_non_exhaustive()
    }
}
