//! The servers and proxies that are tried.

use std::io;
use std::path::PathBuf;

use hotshelf::{RedisOptions, TlsOptions};
use hotshelf_testkit::{Middlebox, RedisCluster, RedisSentinels, RedisServer, valkey_server};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

/// The rows of the table, in its order.
pub(crate) const NAMES: &[&str] = &[
    "Redis 6.2",
    "Redis 7.0",
    "Redis 8.2",
    "Valkey 9.1",
    "Redis 7.0, TLS 1.2",
    "Redis 7.0, TLS 1.3",
    "Redis 7.0, RESP2 (`?protocol=2`)",
    "Redis 7.0 without `HELLO`",
    "Redis 7.0 without `UNLINK`",
    "Redis 7.0 without `EVAL` and `EVALSHA`",
    "Redis 7.0, ACL without scripts",
    "Redis 7.0, ACL without `CLIENT`",
    "Redis 7.0, Sentinels",
    "Redis 7.0, Cluster",
    "Redis 7.0, node of a Cluster as `redis://`",
    "HAProxy 2.6",
    "stunnel 5, TLS 1.2",
    "stunnel 5, TLS 1.3",
    "twemproxy 0.5",
];

/// A running deployment, and how to connect to it.
pub(crate) struct Deployment {
    pub(crate) options: RedisOptions,
    _running: Vec<Box<dyn std::any::Any>>,
}

impl Deployment {
    /// Starts a deployment; `None` if its program is not installed.
    pub(crate) fn start(name: &str) -> io::Result<Option<Self>> {
        let redis = |arguments: &[&str]| RedisServer::start_with(arguments);
        let of_program = |program: PathBuf| match program.exists() {
            true => RedisServer::start_program(program, &[]).map(|server| Some(Self::of(server))),
            false => Ok(None),
        };
        let without = |commands: &[&str]| {
            let renamed: Vec<&str> =
                commands.iter().flat_map(|name| ["--rename-command", name, ""]).collect();
            redis(&renamed).map(Self::of)
        };
        let restricted = |rules: &[&str]| -> io::Result<Self> {
            let server = redis(&[])?;
            let _ok = server.command(&[&["ACL", "SETUSER", "default"], rules].concat());
            Ok(Self::of(server))
        };
        Ok(Some(match name {
            "Redis 6.2" => return of_program(installed("redis-6.2")),
            "Redis 7.0" => Self::of(redis(&[])?),
            "Redis 8.2" => return of_program(installed("redis-8.2")),
            "Valkey 9.1" => return valkey_server().map_or(Ok(None), of_program),
            "Redis 7.0, TLS 1.2" => Self::with_tls("TLSv1.2", Terminated::ByServer)?,
            "Redis 7.0, TLS 1.3" => Self::with_tls("TLSv1.3", Terminated::ByServer)?,
            "stunnel 5, TLS 1.2" => Self::with_tls("TLSv1.2", Terminated::ByStunnel)?,
            "stunnel 5, TLS 1.3" => Self::with_tls("TLSv1.3", Terminated::ByStunnel)?,
            "Redis 7.0, RESP2 (`?protocol=2`)" => {
                let mut deployment = Self::of(redis(&[])?);
                deployment.options = deployment.options.protocol(2);
                deployment
            }
            "Redis 7.0 without `HELLO`" => without(&["HELLO"])?,
            "Redis 7.0 without `UNLINK`" => without(&["UNLINK"])?,
            "Redis 7.0 without `EVAL` and `EVALSHA`" => without(&["EVAL", "EVALSHA"])?,
            "Redis 7.0, ACL without scripts" => restricted(&["-@scripting"])?,
            "Redis 7.0, ACL without `CLIENT`" => restricted(&["-client"])?,
            "Redis 7.0, Sentinels" => {
                let sentinels = RedisSentinels::start()?;
                let url = sentinels.url();
                Self::at(&url, vec![Box::new(sentinels)])
            }
            "Redis 7.0, Cluster" => {
                let cluster = RedisCluster::start()?;
                let url = cluster.url();
                Self::at(&url, vec![Box::new(cluster)])
            }
            "Redis 7.0, node of a Cluster as `redis://`" => {
                let cluster = RedisCluster::start()?;
                let url = cluster.node(0).url();
                Self::at(&url, vec![Box::new(cluster)])
            }
            "HAProxy 2.6" => {
                let server = redis(&[])?;
                Self::behind(Middlebox::haproxy(&[&server])?, server)
            }
            "twemproxy 0.5" => {
                let server = redis(&[])?;
                Self::behind(Middlebox::twemproxy(&server)?, server)
            }
            name => return Err(io::Error::other(format!("{name} is unknown"))),
        }))
    }

    fn at(url: &str, running: Vec<Box<dyn std::any::Any>>) -> Self {
        let options = RedisOptions::from_url(url);
        Self { options: options.unwrap_or_else(|error| panic!("{error}")), _running: running }
    }

    fn of(server: RedisServer) -> Self {
        let url = server.url();
        Self::at(&url, vec![Box::new(server)])
    }

    fn behind(proxy: Middlebox, server: RedisServer) -> Self {
        let url = proxy.url();
        Self::at(&url, vec![Box::new(proxy), Box::new(server)])
    }

    fn with_tls(version: &str, terminated: Terminated) -> io::Result<Self> {
        let identity = Identity::create()?;
        let (port, running): (u16, Vec<Box<dyn std::any::Any>>) = match terminated {
            Terminated::ByServer => {
                let port = free_port()?;
                let server = RedisServer::start_with(&[
                    "--tls-port",
                    &port.to_string(),
                    "--tls-cert-file",
                    &identity.path("server.crt"),
                    "--tls-key-file",
                    &identity.path("server.key"),
                    "--tls-ca-cert-file",
                    &identity.path("server.crt"),
                    "--tls-auth-clients",
                    "no",
                    "--tls-protocols",
                    version,
                ])?;
                (port, vec![Box::new(server)])
            }
            Terminated::ByStunnel => {
                let server = RedisServer::start()?;
                let pem = format!("{}{}", identity.certificate, identity.key);
                let proxy = Middlebox::stunnel(&server, version, &pem)?;
                (proxy.port(), vec![Box::new(proxy), Box::new(server)])
            }
        };
        let mut deployment = Self::at(&format!("rediss://localhost:{port}"), running);
        deployment.options = deployment
            .options
            .tls(TlsOptions::new().root_certificates(identity.certificate.clone()));
        deployment._running.push(Box::new(identity));
        Ok(deployment)
    }
}

enum Terminated {
    ByServer,
    ByStunnel,
}

/// A certificate that signs itself, and its key.
struct Identity {
    certificate: String,
    key: String,
    files: TempDir,
}

impl Identity {
    fn create() -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let params = CertificateParams::new(["localhost".to_owned()]).map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        let (certificate, key) = (certificate.pem(), key.serialize_pem());
        let files = tempfile::tempdir()?;
        std::fs::write(files.path().join("server.crt"), &certificate)?;
        std::fs::write(files.path().join("server.key"), &key)?;
        Ok(Self { certificate, key, files })
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }
}

/// A server that `scripts/compatibility` has installed.
fn installed(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/compatibility/bin");
    PathBuf::from(folder).join(name)
}

fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
