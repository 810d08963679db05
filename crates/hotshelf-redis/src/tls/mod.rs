//! TLS with rustls, on any stream of bytes.

mod stream;

use std::fmt;
use std::io;
use std::sync::Arc;

use hotshelf_core::{Error, ErrorKind};
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};

use crate::connection::ByteStream;
use crate::options::{RedisOptions, TlsOptions};
use crate::transport::Peer;
pub use stream::TlsStream;

/// TLS to servers and to Sentinels.
#[derive(Clone, Debug)]
pub struct Tls {
    to_servers: Option<TlsConnector>,
    to_sentinels: Option<TlsConnector>,
}

impl Tls {
    /// Loads the certificates of the options.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for invalid certificates.
    pub fn new(options: &RedisOptions) -> Result<Self, Error> {
        let to_servers = options.tls.as_ref().map(TlsConnector::new).transpose()?;
        let to_sentinels = match &options.sentinel_tls {
            _ if !options.has_sentinels() => None,
            None => to_servers.clone(),
            Some(options) => options.as_ref().map(TlsConnector::new).transpose()?,
        };
        Ok(Self { to_servers, to_sentinels })
    }

    /// Returns the connector to servers or Sentinels; `None` without TLS.
    #[must_use]
    pub fn to(&self, peer: Peer) -> Option<&TlsConnector> {
        match peer {
            Peer::Server => self.to_servers.as_ref(),
            Peer::Sentinel => self.to_sentinels.as_ref(),
        }
    }
}

/// Encrypts streams.
#[derive(Clone)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    /// The name that the certificates of the other side have to match, instead of its host.
    name: Option<ServerName<'static>>,
}

impl TlsConnector {
    /// Loads the trusted authorities of the options, by default the system's, and the client
    /// certificate, if any.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for invalid certificates.
    fn new(options: &TlsOptions) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| configuration("can't configure TLS").with_source(error))?;
        let builder = if options.accept_invalid_certificates {
            tracing::warn!(
                "TLS certificates are not verified; attackers on the network can read all traffic"
            );
            let verifier = Arc::new(AcceptAnyServer(provider));
            builder.dangerous().with_custom_certificate_verifier(verifier)
        } else {
            builder.with_root_certificates(match &options.root_certificates {
                Some(pem) => roots_of(pem)?,
                None => system_roots()?,
            })
        };
        let config = with_client_certificate(builder, options)?;
        let name = options.server_name.clone().map(ServerName::try_from).transpose();
        let name = name.map_err(|error| {
            configuration("invalid server name: use a host name").with_source(error)
        })?;
        Ok(Self { config: Arc::new(config), name })
    }

    /// Verifies the other side and returns the encrypted stream.
    ///
    /// # Errors
    /// If the verification fails, and the stream's own.
    pub async fn connect<S: ByteStream>(&self, host: &str, stream: S) -> io::Result<TlsStream<S>> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
        };
        let connection = ClientConnection::new(Arc::clone(&self.config), name);
        TlsStream::connect(connection.map_err(io::Error::other)?, stream).await
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsConnector").field("name", &self.name).finish_non_exhaustive()
    }
}

fn with_client_certificate(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    options: &TlsOptions,
) -> Result<ClientConfig, Error> {
    let Some((certificates, key)) = &options.client_certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let invalid = || configuration("invalid client certificate or key: use PEM for both");
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid())?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| invalid())?;
    let config = builder.with_client_auth_cert(certificates, key);
    config.map_err(|error| invalid().with_source(error))
}

fn roots_of(pem: &[u8]) -> Result<RootCertStore, Error> {
    let invalid = || configuration("invalid root certificates: use PEM");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| invalid())?;
        roots.add(certificate).map_err(|error| invalid().with_source(error))?;
    }
    if roots.is_empty() { Err(invalid()) } else { Ok(roots) }
}

/// Loads the system's root certificates. Invalid ones are skipped.
fn system_roots() -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!("skipped an invalid root certificate of the system ({error})");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(configuration(
            "the system has no root certificates: install the package ca-certificates, or set \
             `root_certificates`",
        ));
    }
    Ok(roots)
}

fn configuration(message: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

/// Accepts any certificate. Signatures are still verified: the server has the certificate's
/// key.
#[derive(Debug)]
struct AcceptAnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
