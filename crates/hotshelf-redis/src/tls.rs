//! TLS by rustls.

use std::io;
use std::sync::Arc;

use hotshelf_core::{Error, ErrorKind};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::options::RedisOptions;

/// What is needed to prove who a server is.
pub(crate) struct Tls {
    connector: TlsConnector,
}

impl Tls {
    /// Loads the authorities that are trusted: those of the options, or else the system's.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for certificates that can't be read.
    pub(crate) fn new(options: &RedisOptions) -> Result<Self, Error> {
        let roots = match &options.root_certificates {
            Some(pem) => given(pem)?,
            None => system(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| configuration("TLS can't be set up").with_source(error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Proves that the other side is `host`, and encrypts from then on.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.connector.connect(name, stream).await
    }
}

fn given(pem: &[u8]) -> Result<RootCertStore, Error> {
    let unreadable = || configuration("the root certificates can't be read: give them in PEM");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| unreadable())?;
        roots.add(certificate).map_err(|error| unreadable().with_source(error))?;
    }
    if roots.is_empty() { Err(unreadable()) } else { Ok(roots) }
}

/// Takes what the system trusts. What of it can't be read vouches for nobody.
fn system() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some of the system's root certificates can't be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}

fn configuration(message: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, message)
}
