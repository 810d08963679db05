//! Noticing that a peer is gone.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// After so long without a word the system asks whether the other side is still there, and
/// so often before it takes it for gone.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 3;

/// After so long the system gives up on bytes that the other side doesn't confirm.
#[cfg(target_os = "linux")]
const UNCONFIRMED: Duration = Duration::from_secs(10);

/// Lets the system notice a peer that is gone without a word, while nothing is asked.
///
/// # Errors
/// The system's own.
pub fn watch_peer<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    let socket = socket.into();
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_PROBES))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNCONFIRMED))?;
    Ok(())
}
