//! A name with several addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use crate::support;

/// The addresses of `localhost` that the test needs, the first one first.
const BOTH: [IpAddr; 2] = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];

/// A listener whose queue is full, so that the system drops the packets of further connections:
/// they are neither accepted nor refused.
struct Silent {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Silent {
    fn listen(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v6()?;
        socket.bind(address)?;
        let listener = socket.listen(0)?;
        let queue = std::iter::from_fn(|| connect(address).ok()).collect();
        Ok(Self { address, _listener: listener, _queue: queue })
    }

    fn is_silent(&self) -> bool {
        connect(self.address).is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&address, Duration::from_millis(100))
}

/// An address that swallows packets costs a fraction of the connect timeout, not all of it.
#[test]
fn silent_address_is_passed_over() {
    if !has_both() && !support::is_alone("addresses::silent_address_is_passed_over", with_both) {
        return;
    }
    if !has_both() {
        eprintln!("skipped: `localhost` has no two addresses, and can't be given them");
        return;
    }
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(async {
        let server = support::server();
        let silent = Silent::listen(SocketAddr::from((BOTH[0], server.port()))).unwrap();
        let backend = support::backend(&format!("redis://localhost:{}", server.port()));
        support::ping_until_back(&backend).await;
        backend.client().set("k", "v").await.unwrap();
        assert_eq!(server.cli(&["GET", "k"]), "v");
        assert!(silent.is_silent());
    });
}

fn has_both() -> bool {
    let found = ("localhost", 0).to_socket_addrs().unwrap().map(|address| address.ip());
    found.collect::<Vec<_>>() == BOTH && std::net::TcpListener::bind((BOTH[0], 0)).is_ok()
}

/// Runs a program with a file of hosts of its own, if users may do that on this machine.
fn with_both(program: &Path) -> Command {
    let isolated = ["--map-root-user", "--mount"];
    let may = Command::new("unshare").args(isolated).arg("true").output();
    if !may.is_ok_and(|output| output.status.success()) {
        return Command::new(program);
    }
    // Once the file is mounted, its name isn't needed.
    let script = r#"hosts=$(mktemp); echo "$0" >"$hosts"
mount --bind "$hosts" /etc/hosts; rm "$hosts"; exec "$@""#;
    let hosts = BOTH.map(|address| format!("{address} localhost")).join("\n");
    let mut command = Command::new("unshare");
    command.args(isolated).args(["sh", "-c", script]).arg(hosts).arg(program);
    command
}
