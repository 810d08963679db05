//! Addresses, credentials and timeouts.

mod credentials;
mod deployment;
mod url;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::Error;
use hotshelf_wire::Tracking;

pub use credentials::{Credentials, CredentialsProvider};
pub use deployment::Address;
pub(crate) use deployment::Deployment;

/// How long connecting may take unless it is set: 250 ms.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_millis(250);

/// How long a read, or an acquire, may take unless it is set: 100 ms.
pub const DEFAULT_READ_TIMEOUT: Duration = Duration::from_millis(100);

/// How long a write or an invalidation may take unless it is set: 250 ms.
pub const DEFAULT_STORE_TIMEOUT: Duration = Duration::from_millis(250);

/// The addresses of the servers, the credentials, and how long to wait.
///
/// | option | default |
/// | --- | --- |
/// | [`connect_timeout`](Self::connect_timeout) | 250 ms |
/// | [`read_timeout`](Self::read_timeout) | 100 ms |
/// | [`store_timeout`](Self::store_timeout) | 250 ms |
/// | [`tracking`](Self::tracking) | `Tracking::OptIn` |
/// | [`credentials`](Self::credentials) | the URL's |
/// | [`client_name`](Self::client_name) | none |
/// | [`root_certificates`](Self::root_certificates) | the system's |
/// | [`client_certificate`](Self::client_certificate) | none |
/// | [`server_name`](Self::server_name) | the host of the URL |
///
/// `Debug` and `Display` never show a password.
#[derive(Clone)]
pub struct RedisOptions {
    pub(crate) deployment: Deployment,
    /// The URL's.
    own_credentials: Credentials,
    provider: Option<Arc<dyn CredentialsProvider>>,
    pub(crate) sentinel_credentials: Credentials,
    pub(crate) database: u64,
    pub(crate) client_name: Option<String>,
    pub(crate) tracking: Tracking,
    pub(crate) tls: Option<TlsOptions>,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) store_timeout: Duration,
}

/// Certificates and their verification.
#[derive(Clone, Default)]
pub(crate) struct TlsOptions {
    pub(crate) root_certificates: Option<Vec<u8>>,
    /// The certificates and the key, in PEM.
    pub(crate) client_certificate: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) server_name: Option<String>,
    pub(crate) accept_invalid_certificates: bool,
}

impl RedisOptions {
    /// Parses a URL.
    ///
    /// | URL | servers |
    /// | --- | --- |
    /// | `redis://[user[:password]@]host[:port][/database]` | one server |
    /// | `unix:///path` | one server, on a Unix socket |
    /// | `redis+sentinel://[user[:password]@]host[:port][,host[:port]]…/service[/database]` | the primary of a service, found through its Sentinels (port 26379) |
    /// | `redis+cluster://[user[:password]@]host[:port][,host[:port]]…` | a Cluster, with some of its nodes |
    ///
    /// `rediss` instead of `redis` means TLS; `valkey` and `valkeys` are synonyms of the two,
    /// and a hyphen is a synonym of `+`. All of them accept
    /// `?db=…&user=…&password=…&client_name=…`, those of Sentinels also `sentinel_user=…` and
    /// `sentinel_password=…`. Reserved characters, in passwords above all, have to be
    /// percent-encoded.
    ///
    /// # Errors
    /// Of kind [`Configuration`](hotshelf_core::ErrorKind::Configuration) for an invalid URL,
    /// of kind [`Unsupported`](hotshelf_core::ErrorKind::Unsupported) for one that this build
    /// doesn't support. Neither shows the password.
    pub fn from_url(text: &str) -> Result<Self, Error> {
        url::read(text)
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

    /// Sets the name that `CLIENT LIST` shows for our connections. Default: none.
    #[must_use]
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = Some(name.into());
        self
    }

    /// Sets the provider of credentials, instead of those of the URL: for rotating tokens.
    #[must_use]
    pub fn credentials(mut self, provider: impl CredentialsProvider) -> Self {
        self.provider = Some(Arc::new(provider));
        self
    }

    /// Sets which changes of keys the servers report, so that callers that wait for another
    /// process's load are woken and don't have to poll. Default: [`Tracking::OptIn`].
    ///
    /// With [`Tracking::Broadcast`], the leases (`hs:l:`) are added to the prefixes. A server
    /// that can't report changes, or whose ACL forbids it, is used without.
    #[must_use]
    pub fn tracking(mut self, tracking: Tracking) -> Self {
        self.tracking = tracking;
        self
    }

    /// Sets the certificate authorities, in PEM, that TLS trusts instead of the system's.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls_mut().root_certificates = Some(pem.into());
        self
    }

    /// Sets the client certificate, with its chain, and its key, both in PEM. Default: none.
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificates: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.tls_mut().client_certificate = Some((certificates.into(), key.into()));
        self
    }

    /// Sets the name that the servers' certificates have to match, and that is sent to them
    /// (SNI). Default: the host of the URL.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.tls_mut().server_name = Some(name.into());
        self
    }

    /// Accepts any certificate: an attacker in between can read and change the password and all
    /// values. For tests only. Default: off.
    #[must_use]
    pub fn danger_accept_invalid_certificates(mut self, accept: bool) -> Self {
        self.tls_mut().accept_invalid_certificates = accept;
        self
    }

    /// TLS options imply TLS, whatever the URL says: a slip there must not send a password in
    /// the clear.
    fn tls_mut(&mut self) -> &mut TlsOptions {
        self.tls.get_or_insert_default()
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
        debug.field("client_name", &self.client_name);
        debug.field("tracking", &self.tracking);
        debug.field("connect_timeout", &self.connect_timeout);
        debug.field("read_timeout", &self.read_timeout);
        debug.field("store_timeout", &self.store_timeout).finish_non_exhaustive()
    }
}
