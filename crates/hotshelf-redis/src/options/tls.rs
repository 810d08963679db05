//! Certificates and their verification.

use std::fmt;

/// Certificates and their verification.
///
/// | option | default |
/// | --- | --- |
/// | [`root_certificates`](Self::root_certificates) | the system's |
/// | [`client_certificate`](Self::client_certificate) | none |
/// | [`server_name`](Self::server_name) | the host that is connected to |
///
/// `Debug` never shows the key.
#[derive(Clone, Default)]
pub struct TlsOptions {
    pub(crate) root_certificates: Option<Vec<u8>>,
    /// The certificates and the key, in PEM.
    pub(crate) client_certificate: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) server_name: Option<String>,
    pub(crate) accept_invalid_certificates: bool,
}

impl TlsOptions {
    /// Creates options that trust the system's certificate authorities.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the trusted certificate authorities, in PEM. Default: the system's.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Sets the client certificate with its chain, and its key, both in PEM. Default: none.
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificates: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.client_certificate = Some((certificates.into(), key.into()));
        self
    }

    /// Sets the name that the certificates of the other side have to match. It is also sent as
    /// SNI. Default: the host that is connected to.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Accepts any certificate: an attacker on the network can read and change the password
    /// and all values. For tests only. Default: off.
    #[must_use]
    pub fn danger_accept_invalid_certificates(mut self, accept: bool) -> Self {
        self.accept_invalid_certificates = accept;
        self
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("TlsOptions");
        debug.field("has_root_certificates", &self.root_certificates.is_some());
        debug.field("has_client_certificate", &self.client_certificate.is_some());
        debug.field("server_name", &self.server_name);
        debug.field("accept_invalid_certificates", &self.accept_invalid_certificates).finish()
    }
}
