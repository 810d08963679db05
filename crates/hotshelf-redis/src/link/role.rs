//! Whether a server is a primary.

use std::future::pending;
use std::time::Duration;

use hotshelf_core::Error;
use hotshelf_wire::resp::{Command, Value};
use hotshelf_wire::sentinel::is_primary;

use super::dialer::{Dialer, send_all};
use crate::connection::Connection;
use crate::errors;
use crate::options::Address;

/// How often a server is asked whether it still is a primary.
const PERIOD: Duration = Duration::from_secs(5);

/// Verifies that a server is a primary. If its ACL denies `ROLE`, the Sentinels are trusted; if
/// they are wrong, the first `READONLY` shows it.
pub(super) async fn verify_role(
    dialer: &Dialer,
    connection: &Connection,
    address: &Address,
) -> Result<(), Error> {
    match role(dialer, connection).await? {
        Role::Primary | Role::Unknown => Ok(()),
        Role::Replica => {
            let message = format!("{address}, which the Sentinels report, is not a primary");
            Err(errors::unavailable(message))
        }
    }
}

/// Waits until a server is no primary. A caller that only reads would not notice otherwise.
pub(super) async fn until_demoted(dialer: &Dialer, connection: &Connection) {
    loop {
        match role(dialer, connection).await {
            Ok(Role::Replica) => return,
            Ok(Role::Primary) | Err(_) => {}
            Ok(Role::Unknown) => return pending().await,
        }
        dialer.runtime.sleep(PERIOD).await;
    }
}

/// What a server answers to `ROLE`.
#[derive(PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    Replica,
    /// The server, its ACL or a proxy refuses `ROLE`.
    Unknown,
}

impl Role {
    pub(super) fn read(answer: &Value) -> Self {
        match answer {
            Value::Error(_) => Self::Unknown,
            answer if is_primary(answer) => Self::Primary,
            _ => Self::Replica,
        }
    }
}

async fn role(dialer: &Dialer, connection: &Connection) -> Result<Role, Error> {
    let answers = send_all(connection, [Command::new("ROLE")], dialer.timeout()).await?;
    Ok(answers.first().map_or(Role::Replica, Role::read))
}
