//! Detection of unreachable peers.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// The idle time before the system probes the peer, and the number of probes that have to fail
/// before the connection is closed.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 3;

/// The time for which sent bytes may stay unacknowledged before the system closes the
/// connection.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// Enables keepalive probes, so that the system detects a peer that has disappeared without
/// closing the connection. On Linux it also limits how long sent bytes may stay
/// unacknowledged.
///
/// # Errors
/// The system's own.
pub fn watch_peer<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    let socket = socket.into();
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_PROBES))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}
