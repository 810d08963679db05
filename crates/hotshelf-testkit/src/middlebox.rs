//! Real proxies between clients and servers, for one test.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::path::Path;

use tempfile::TempDir;

use crate::RedisServer;
use crate::ports::Port;
use crate::process::{Process, pid_file};

/// A real proxy on the loopback, killed when this handle is dropped or the test process ends.
pub struct Middlebox {
    _process: Process,
    _directory: TempDir,
    port: Port,
}

/// The file with the settings of the proxy.
const SETTINGS: &str = "proxy.conf";

impl Middlebox {
    /// Starts HAProxy, which leads to the server that reports the role of a primary, asked every
    /// 50 ms. Connections to a server that was demoted stay open.
    ///
    /// # Errors
    /// If `haproxy` is not installed or does not start.
    pub fn haproxy(servers: &[&RedisServer]) -> io::Result<Self> {
        let server = |server: &&RedisServer| {
            format!("  server s{0} 127.0.0.1:{0} check inter 50ms fall 1 rise 1\n", server.port())
        };
        let servers: String = servers.iter().map(server).collect();
        Self::start("haproxy", &["-db", "-f"], |port, _| {
            format!(
                "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1h\n  timeout server 1h\n\
                 listen redis\n  bind 127.0.0.1:{port}\n  option tcp-check\n\
                 \x20 tcp-check send info\\ replication\\r\\n\n\
                 \x20 tcp-check expect string role:master\n{servers}"
            )
        })
    }

    /// Starts stunnel, which speaks TLS of one version, such as `TLSv1.2`, on behalf of a server.
    /// `identity` is its certificate and its key, in PEM.
    ///
    /// # Errors
    /// If `stunnel4` is not installed or does not start.
    pub fn stunnel(server: &RedisServer, version: &str, identity: &str) -> io::Result<Self> {
        let server = server.port();
        Self::start("stunnel4", &[], |port, directory| {
            let file = directory.join("identity.pem");
            let written = std::fs::write(&file, identity);
            debug_assert!(written.is_ok());
            format!(
                "foreground = yes\npid =\n[redis]\naccept = 127.0.0.1:{port}\n\
                 connect = 127.0.0.1:{server}\ncert = {}\nsslVersion = {version}\n",
                file.display()
            )
        })
    }

    /// Starts twemproxy, which knows neither `HELLO` nor `CLIENT`.
    ///
    /// # Errors
    /// If `nutcracker` is not installed or does not start.
    pub fn twemproxy(server: &RedisServer) -> io::Result<Self> {
        let server = server.port();
        let statistics = Port::reserve()?.number().to_string();
        let own = ["-o", "proxy.log", "-p", "proxy.pid", "-a", "127.0.0.1", "-s", &statistics];
        Self::start("nutcracker", &[&own[..], &["-c"]].concat(), |port, _| {
            format!(
                "main:\n  listen: 127.0.0.1:{port}\n  redis: true\n  hash: fnv1a_64\n\
                 \x20 servers:\n    - 127.0.0.1:{server}:1\n"
            )
        })
    }

    fn start(
        program: &str,
        arguments: &[&str],
        settings: impl Fn(u16, &Path) -> String,
    ) -> io::Result<Self> {
        let (directory, port) = (tempfile::tempdir()?, Port::reserve()?);
        let text = settings(port.number(), directory.path());
        std::fs::write(directory.path().join(SETTINGS), text)?;
        // Its process identifier is that of the shell which it replaces. Debian's proxies are in
        // a folder that the paths of users lack.
        let pid_file = pid_file(directory.path());
        let line = format!("echo $$ > {}; PATH=$PATH:/usr/sbin exec \"$@\"", pid_file.display());
        let line = ["-c", &line, "sh", program].into_iter().chain(arguments.iter().copied());
        let line: Vec<String> = line.chain([SETTINGS]).map(str::to_owned).collect();
        let answers = || TcpStream::connect(("127.0.0.1", port.number())).map(drop);
        let number = port.number();
        let process =
            Process::start_until(answers, "sh".as_ref(), number, &line, directory.path())?;
        Ok(Self { _process: process, _directory: directory, port })
    }

    /// Returns the port on which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Returns the URL of the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }
}

impl fmt::Debug for Middlebox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Middlebox").field("port", &self.port()).finish_non_exhaustive()
    }
}
