//! Whether the server of a listening connection still responds.

use std::future::pending;
use std::time::Duration;

use hotshelf_core::timeout::within;
use hotshelf_wire::resp::Command;

use super::Dialer;
use crate::connection::Connection;

/// How long a server may send nothing before it is asked for a sign of life.
const QUIET: Duration = Duration::from_secs(3);

/// How long the sign of life may take, at least.
const REPLY: Duration = Duration::from_secs(1);

/// Waits until the server has stopped responding. A listener would not notice otherwise: it
/// sends nothing.
pub(crate) async fn until_silent(dialer: &Dialer, connection: &Connection) {
    let runtime = &*dialer.runtime;
    loop {
        let heard = connection.heard();
        within(runtime, QUIET, pending::<()>()).await;
        if connection.heard() == heard {
            // The end of the connection is noticed by its driver.
            let _ = connection.send_without_reply(&Command::new("PING"));
            within(runtime, dialer.timeout().max(REPLY), pending::<()>()).await;
            if connection.heard() == heard {
                return;
            }
        }
    }
}
