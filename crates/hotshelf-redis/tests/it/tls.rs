//! TLS: only a server that proves to be the one of the URL is talked to.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use hotshelf_core::{Backend, ErrorKind};
use hotshelf_redis::RedisOptions;
use hotshelf_testkit::RedisServer;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::support;

/// A server behind TLS, and the authority that vouches for its name.
struct Tls {
    _server: RedisServer,
    _files: TempDir,
    port: u16,
    authority: String,
}

impl Tls {
    fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        let authority = authority();
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned()];
        let certificate =
            CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let certificate = write(files.path(), "server.crt", &certificate.pem());
        let key = write(files.path(), "server.key", &key.serialize_pem());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port_text, certificate, key) =
            (port.to_string(), certificate.display().to_string(), key.display().to_string());
        let server = RedisServer::start_with(&[
            "--tls-port",
            &port_text,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-auth-clients",
            "no",
        ]);
        Self { _server: server.unwrap(), _files: files, port, authority: authority.pem() }
    }

    fn options(&self, host: &str) -> RedisOptions {
        RedisOptions::from_url(&format!("rediss://{host}:{}", self.port)).unwrap()
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn a_server_with_the_right_certificate_is_talked_to() {
    let tls = Tls::start();
    let options = tls.options("localhost").root_certificates(tls.authority.as_str());
    support::backend_with(options).ping().await.unwrap();
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_name_is_refused() {
    let tls = Tls::start();
    let other = authority().pem();
    for options in [
        tls.options("localhost"),
        tls.options("localhost").root_certificates(other),
        tls.options("127.0.0.1").root_certificates(tls.authority.as_str()),
    ] {
        let error = support::backend_with(options).ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    }
}

#[tokio::test]
async fn certificates_that_cant_be_read_are_an_error_of_the_configuration() {
    let options = RedisOptions::from_url("rediss://localhost").unwrap();
    let options = options.root_certificates("no certificate");
    let error = hotshelf_redis::RedisBackend::new(&options, support::runtime()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
}
