//! Loopback ports for the servers of tests.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{TcpListener, UdpSocket};

/// Below the ephemeral ports, so that no outgoing connection occupies the port of a server
/// that is about to restart.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A free TCP port, reserved among the tests of all processes until this is dropped.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// Holds the UDP port of the same number, which marks the port as reserved. The TCP port
    /// itself is left to the server.
    _reservation: UdpSocket,
}

impl Port {
    pub(crate) fn reserve() -> io::Result<Self> {
        let count = u64::from(PORTS.end - PORTS.start);
        let start = RandomState::new().build_hasher().finish() % count;
        (0..count)
            .map(|step| PORTS.start + ((start + step) % count) as u16)
            .find_map(Self::take)
            .ok_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, "no free port"))
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    fn take(number: u16) -> Option<Self> {
        let reservation = UdpSocket::bind(("127.0.0.1", number)).ok()?;
        TcpListener::bind(("127.0.0.1", number)).ok()?;
        Some(Self { number, _reservation: reservation })
    }
}
