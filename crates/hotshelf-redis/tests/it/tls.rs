//! TLS: servers need a valid certificate for the URL's host.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use hotshelf_core::{Backend, ErrorKind};
use hotshelf_redis::{RedisOptions, TlsOptions};
use hotshelf_testkit::conformance::CHECKS;
use hotshelf_testkit::{Middlebox, RedisSentinels, RedisServer};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use tempfile::TempDir;

use crate::conformance;
use crate::support;

/// A server with TLS, and the authority of its certificate.
struct Tls {
    server: RedisServer,
    _files: TempDir,
    port: u16,
    authority: CertifiedIssuer<'static, KeyPair>,
    /// Its certificate and its key.
    identity: String,
}

impl Tls {
    fn start() -> Self {
        Self::start_asking("no")
    }

    /// Starts a server; `clients` is `yes` if it requires client certificates, otherwise `no`.
    fn start_asking(clients: &str) -> Self {
        Self::start_with(&["--tls-auth-clients", clients])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let authority = authority();
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned()];
        let certificate =
            CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let certificate = write(files.path(), "server.crt", &certificate.pem());
        let key = write(files.path(), "server.key", &key.serialize_pem());
        let ca = write(files.path(), "ca.crt", &authority.pem());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = |path: &PathBuf| path.display().to_string();
        let identity = [&certificate, &key].map(|file| std::fs::read_to_string(file).unwrap());
        let own = [
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &text(&certificate),
            "--tls-key-file",
            &text(&key),
            "--tls-ca-cert-file",
            &text(&ca),
        ];
        let server = RedisServer::start_with(&[&own, arguments].concat()).unwrap();
        Self { server, _files: files, port, authority, identity: identity.concat() }
    }

    fn options(&self, host: &str) -> RedisOptions {
        RedisOptions::from_url(&format!("rediss://{host}:{}", self.port)).unwrap()
    }

    fn trust(&self) -> TlsOptions {
        TlsOptions::new().root_certificates(self.authority.pem())
    }

    fn trusting(&self, host: &str) -> RedisOptions {
        self.options(host).tls(self.trust())
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

async fn refused(options: RedisOptions) -> ErrorKind {
    support::backend_with(options).ping().await.unwrap_err().kind()
}

#[test]
fn suite_passes_over_tls() {
    let tls = Tls::start();
    for (name, check) in CHECKS {
        eprintln!("{name}");
        tls.server.command(&["FLUSHALL"]);
        conformance::run(*check, tls.trusting("localhost"), &[&tls.server]);
    }
}

#[tokio::test]
async fn untrusted_certificates_are_refused() {
    let tls = Tls::start();
    let other = authority().pem();
    for options in [
        tls.options("localhost"),
        tls.options("localhost").tls(TlsOptions::new().root_certificates(other)),
        tls.trusting("127.0.0.1"),
        tls.options("localhost").tls(tls.trust().server_name("elsewhere")),
    ] {
        assert_eq!(refused(options).await, ErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn server_name_overrides_host() {
    let tls = Tls::start();
    let options = tls.options("127.0.0.1").tls(tls.trust().server_name("localhost"));
    support::backend_with(options).ping().await.unwrap();
}

#[tokio::test]
async fn danger_option_accepts_any_certificate() {
    let tls = Tls::start();
    let options =
        tls.options("127.0.0.1").tls(TlsOptions::new().danger_accept_invalid_certificates(true));
    support::backend_with(options).ping().await.unwrap();
}

#[tokio::test]
async fn client_certificate_is_presented() {
    let tls = Tls::start_asking("yes");
    assert_eq!(refused(tls.trusting("localhost")).await, ErrorKind::Unavailable);

    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "app");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let ours = params.signed_by(&key, &tls.authority).unwrap();
    let known = tls
        .options("localhost")
        .tls(tls.trust().client_certificate(ours.pem(), key.serialize_pem()));
    support::backend_with(known).ping().await.unwrap();

    let strangers = params.signed_by(&key, &authority()).unwrap();
    let stranger = tls
        .options("localhost")
        .tls(tls.trust().client_certificate(strangers.pem(), key.serialize_pem()));
    assert_eq!(refused(stranger).await, ErrorKind::Unavailable);
}

/// A typo in the URL must not send a password in the clear.
#[tokio::test]
async fn tls_options_imply_tls() {
    let tls = Tls::start();
    let options = RedisOptions::from_url(&format!("redis://localhost:{}", tls.port)).unwrap();
    let backend = support::backend_with(options.tls(tls.trust()));
    backend.ping().await.unwrap();
}

#[tokio::test]
async fn invalid_certificates_are_configuration_errors() {
    let options = |with: fn(TlsOptions) -> TlsOptions| {
        RedisOptions::from_url("rediss://localhost").unwrap().tls(with(TlsOptions::new()))
    };
    for options in [
        options(|tls| tls.root_certificates("no certificate")),
        options(|tls| tls.client_certificate("no certificate", "no key")),
        options(|tls| tls.server_name("no name of a host")),
        RedisOptions::from_url("redis+sentinel://localhost/main")
            .unwrap()
            .sentinel_tls(TlsOptions::new().root_certificates("no certificate")),
    ] {
        let error = hotshelf_redis::RedisBackend::new(&options, support::runtime()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
    }
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken() {
    for version in ["TLSv1.2", "TLSv1.3"] {
        let tls = Tls::start_with(&["--tls-auth-clients", "no", "--tls-protocols", version]);
        support::backend_with(tls.trusting("localhost")).ping().await.unwrap();
        let proxy = Middlebox::stunnel(&tls.server, version, &tls.identity).unwrap();
        let url = format!("rediss://localhost:{}", proxy.port());
        let options = RedisOptions::from_url(&url).unwrap();
        let backend = support::backend_with(options.tls(tls.trust()));
        backend.client().set("k", "v").await.unwrap();
        assert_eq!(backend.client().get("k").await.unwrap().unwrap(), "v");
    }
}

/// The wrong one of a server's two ports is a frequent mistake.
#[tokio::test]
async fn wrong_port_is_named() {
    let tls = Tls::start();
    let plain = format!("redis://localhost:{}", tls.port);
    let error = support::backend(&plain).ping().await.unwrap_err();
    assert!(error.to_string().contains("rediss://"), "{error}");
    let url = format!("rediss://localhost:{}", tls.server.port());
    let options = RedisOptions::from_url(&url).unwrap().tls(tls.trust());
    let backend = support::backend_with(options);
    // Redis waits for the end of what it takes for a command.
    support::until("the hint", async || {
        let error = backend.ping().await.unwrap_err();
        error.to_string().contains("port for TLS").then_some(())
    })
    .await;
}

#[tokio::test]
async fn sentinels_have_their_own_tls() {
    let tls = Tls::start();
    let url = |scheme: &str, port: u16| {
        RedisOptions::from_url(&format!("{scheme}+sentinel://localhost:{port}/main")).unwrap()
    };
    let plain = RedisServer::start().unwrap();
    let sentinel = RedisSentinels::outdated(plain.port()).unwrap();
    let encrypted = Middlebox::stunnel(&sentinel, "TLSv1.3", &tls.identity).unwrap();
    let options = url("redis", encrypted.port()).sentinel_tls(tls.trust());
    support::backend_with(options).ping().await.unwrap();
    // As the servers', which have none.
    assert_eq!(refused(url("redis", encrypted.port())).await, ErrorKind::Unavailable);

    let sentinel = RedisSentinels::outdated(tls.port).unwrap();
    let trusted = url("rediss", sentinel.port()).tls(tls.trust().server_name("localhost"));
    support::backend_with(trusted.clone().sentinel_tls(None)).ping().await.unwrap();
    // As the servers'.
    assert_eq!(refused(trusted).await, ErrorKind::Unavailable);

    let alone = RedisOptions::from_url("redis://localhost").unwrap().sentinel_tls(None);
    assert_eq!(alone.validate().unwrap_err().kind(), ErrorKind::Configuration);
}

/// Images of containers often lack the system's root certificates.
#[test]
fn missing_root_certificates_of_the_system_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let without_roots = |test: &Path| {
        let mut command = Command::new(test);
        let file = write(folder.path(), "empty.pem", "");
        command.env("SSL_CERT_FILE", file).env("SSL_CERT_DIR", folder.path());
        command
    };
    if !support::is_alone("tls::missing_root_certificates_of_the_system_are_named", without_roots) {
        return;
    }
    let options = RedisOptions::from_url("rediss://localhost").unwrap();
    let error = hotshelf_redis::RedisBackend::new(&options, support::runtime()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
    let text = error.to_string();
    assert!(text.contains("ca-certificates") && text.contains("`root_certificates`"), "{text}");
}
