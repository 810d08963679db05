//! Where the servers are, who we are there, and how long to wait for them.

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

/// Where the servers are, who we are there, and how long to wait for them.
///
/// | option | default |
/// | --- | --- |
/// | [`connect_timeout`](Self::connect_timeout) | 250 ms |
/// | [`read_timeout`](Self::read_timeout) | 100 ms |
/// | [`store_timeout`](Self::store_timeout) | 250 ms |
/// | [`tracking`](Self::tracking) | `Tracking::OptIn` |
/// | [`credentials`](Self::credentials) | those of the URL |
/// | [`client_name`](Self::client_name) | none |
/// | [`root_certificates`](Self::root_certificates) | the system's |
/// | [`client_certificate`](Self::client_certificate) | none |
/// | [`server_name`](Self::server_name) | the host of the URL |
///
/// `Debug` and `Display` never show a password.
#[derive(Clone)]
pub struct RedisOptions {
    pub(crate) deployment: Deployment,
    /// Those of the URL.
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

/// What proves who is who.
#[derive(Clone, Default)]
pub(crate) struct TlsOptions {
    pub(crate) root_certificates: Option<Vec<u8>>,
    /// The certificates and the key, in PEM.
    pub(crate) client_certificate: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) server_name: Option<String>,
    pub(crate) accept_invalid_certificates: bool,
}

impl RedisOptions {
    /// Reads a URL.
    ///
    /// | URL | servers |
    /// | --- | --- |
    /// | `redis://[user[:password]@]host[:port][/database]` | one server |
    /// | `unix:///path` | one server, by a Unix socket |
    /// | `redis+sentinel://[user[:password]@]host[:port][,host[:port]]…/service[/database]` | the primary of a service, by its Sentinels (port 26379) |
    /// | `redis+cluster://[user[:password]@]host[:port][,host[:port]]…` | a Cluster, of which some nodes are named |
    ///
    /// `rediss` in place of `redis` means TLS; `valkey` and `valkeys` mean the same as the
    /// two, and a hyphen the same as `+`. All of them take
    /// `?db=…&user=…&password=…&client_name=…`, those of Sentinels also `sentinel_user=…`
    /// and `sentinel_password=…`. What can't stand in a URL, in a password above all, is
    /// percent-encoded.
    ///
    /// # Errors
    /// Of kind [`Configuration`](hotshelf_core::ErrorKind::Configuration) for a URL that is
    /// wrong, of kind [`Unsupported`](hotshelf_core::ErrorKind::Unsupported) for one that
    /// this build can't serve. Neither shows the password.
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

    /// Sets who knows the credentials, in place of those of the URL: for tokens that rotate.
    #[must_use]
    pub fn credentials(mut self, provider: impl CredentialsProvider) -> Self {
        self.provider = Some(Arc::new(provider));
        self
    }

    /// Sets which changes of keys the servers tell of, so that callers who wait for
    /// another process's load are woken, and don't have to look. Default:
    /// [`Tracking::OptIn`].
    ///
    /// With [`Tracking::Broadcast`], the leases (`hs:l:`) are added to the prefixes. A
    /// server that can't tell, or whose rules forbid it, is used without.
    #[must_use]
    pub fn tracking(mut self, tracking: Tracking) -> Self {
        self.tracking = tracking;
        self
    }

    /// Sets the certificate authorities, in PEM, that TLS trusts instead of the system's.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.the_tls().root_certificates = Some(pem.into());
        self
    }

    /// Sets the certificate, with those that vouch for it, and its key, both in PEM, by
    /// which we prove who we are. Default: none.
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificates: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.the_tls().client_certificate = Some((certificates.into(), key.into()));
        self
    }

    /// Sets the name that servers have to prove, and that is sent to them (SNI). Default:
    /// the host that is connected to.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.the_tls().server_name = Some(name.into());
        self
    }

    /// Takes any server for the right one: whoever is in between reads the password and
    /// every value, and can change them. For tests only. Default: off.
    #[must_use]
    pub fn danger_accept_invalid_certificates(mut self, accept: bool) -> Self {
        self.the_tls().accept_invalid_certificates = accept;
        self
    }

    /// Options of TLS make a connection one of TLS, whatever the URL says: a slip there
    /// must not send a password in the clear.
    fn the_tls(&mut self) -> &mut TlsOptions {
        self.tls.get_or_insert_default()
    }

    /// Gives who knows the credentials.
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
