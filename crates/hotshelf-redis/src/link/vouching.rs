//! Whether the near tier may use what was read over a connection.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use hotshelf_core::near::NearTier;
use hotshelf_wire::resp::{Command, Value};

use super::clock::{Reading, server_millis};
use super::dialer::send_all;
use super::role::Role;
use super::state::Shared;
use crate::connection::Connection;

/// Pings the server again and again, so that its connection vouches for what was read over it.
/// Never returns.
///
/// The ping asks for the clock and for the role, and a node of a Cluster for its state: one that
/// was replaced, or doesn't serve its slots, hears of changes late or not at all. An ACL may
/// refuse each of them; a refusal is an answer.
///
/// Where the server broadcasts its reports, they leave it at the end of its turn, behind the
/// answer to a ping of the same turn: then an answer vouches as of the ping before it.
pub(super) async fn keep_vouching(
    shared: &Shared,
    near: Option<&Arc<NearTier>>,
    connection: &Connection,
) -> Infallible {
    let dialer = &shared.dialer;
    let (Some(near), Some(source)) = (near, connection.source()) else { return pending().await };
    let bound = near.options().max_staleness;
    let timeout = bound.max(dialer.timeout());
    let mut ping = vec![Command::new("TIME"), Command::new("ROLE")];
    if shared.resolver.is_node() {
        ping.push(Command::new("CLUSTER").arg("INFO"));
    }
    let mut previous = None;
    loop {
        let sent = near.now();
        let answers = send_all(connection, ping.clone(), timeout).await;
        match answers.as_deref() {
            Ok([time, role, state @ ..]) if serves(time, role, state.first()) => {
                let (now, millis) = (near.now(), server_millis(time));
                source.read_clock(sent, now, millis);
                millis.into_iter().for_each(|millis| {
                    shared.clock.note(Reading::new(sent, now, millis));
                });
                let vouched = match dialer.tracking().is_broadcast() {
                    true => previous.replace(sent),
                    false => Some(sent),
                };
                vouched.into_iter().for_each(|sent| source.answered(sent));
            }
            Ok(_) => {
                previous = None;
                source.end();
            }
            Err(_) => {}
        }
        dialer.runtime.sleep(bound / 4).await;
    }
}

/// Returns `true` unless the answers to a ping show that the server doesn't serve as a primary.
fn serves(time: &Value, role: &Value, state: Option<&Value>) -> bool {
    let fails = |answer: &Value| match answer {
        Value::Error(error) => matches!(error.code(), b"LOADING" | b"MASTERDOWN" | b"CLUSTERDOWN"),
        _ => false,
    };
    let is_failed = |state: &Value| {
        fails(state) || state.text().is_some_and(|info| info.contains("cluster_state:fail"))
    };
    !fails(time)
        && !fails(role)
        && Role::read(role) != Role::Replica
        && !state.is_some_and(is_failed)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hotshelf_wire::resp::ServerError;

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn replaced_and_failing_servers_do_not_vouch() {
        let role = |role| Value::Array(vec![bulk(role), Value::Integer(0), Value::Array(vec![])]);
        let error =
            |text: &str| Value::Error(ServerError::new(Bytes::copy_from_slice(text.as_bytes())));
        let time = Value::Array(vec![bulk("1764000000"), bulk("123456")]);
        let denied = error("NOPERM no permissions to run the 'role' command");
        let (primary, state) = (role("master"), bulk("cluster_state:ok"));
        for (time, role, state) in [
            (&time, &primary, None),
            (&time, &primary, Some(&state)),
            (&denied, &denied, Some(&denied)),
        ] {
            assert!(serves(time, role, state), "{time:?} {role:?} {state:?}");
        }
        let (replica, loading) = (role("slave"), error("LOADING Redis"));
        let failed = bulk("a:1\r\ncluster_state:fail\r\n");
        for (time, role, state) in [
            (&time, &replica, None),
            (&time, &primary, Some(&failed)),
            (&loading, &primary, None),
            (&time, &loading, None),
            (&time, &primary, Some(&loading)),
        ] {
            assert!(!serves(time, role, state), "{time:?} {role:?} {state:?}");
        }
    }
}
