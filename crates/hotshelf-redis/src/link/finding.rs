//! Finding the server of a link, and following it when another one replaces it.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::Error;
use hotshelf_core::backoff::Backoff;

use super::dialer::{Dialer, Dialled, drive};
use super::resolver::Resolver;
use super::role::verify_role;
use crate::connection::Listener;
use crate::errors;
use crate::options::Address;

/// The pauses before an announced server is looked for again, while it can't be confirmed.
const CONFIRMING: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));

/// A server, connected and, if it is elected, confirmed as the primary.
pub(crate) struct Found {
    pub(crate) address: Address,
    pub(crate) dialled: Dialled,
}

/// Connects to the first address of the resolver that has the server. `listener` creates the
/// listener of each connection that is attempted.
///
/// # Errors
/// That of the likeliest address, if none has the server.
pub(crate) async fn find(
    dialer: &Dialer,
    resolver: &dyn Resolver,
    mut listener: impl FnMut() -> Arc<dyn Listener>,
) -> Result<Found, Error> {
    let mut failure = None;
    for address in resolver.resolve().await? {
        match dial(dialer, resolver, &address, listener()).await {
            Ok(dialled) => return Ok(Found { address, dialled }),
            Err(error) => drop(failure.get_or_insert(error)),
        }
    }
    Err(failure.unwrap_or_else(|| errors::unavailable("no server to connect to")))
}

/// Waits until another server has replaced the current one, and connects to it. What the
/// resolver announces is confirmed first: a Sentinel may be mistaken, and the current connection
/// works.
pub(crate) async fn successor(
    dialer: &Dialer,
    resolver: &dyn Resolver,
    current: &Address,
    mut listener: impl FnMut() -> Arc<dyn Listener>,
) -> Found {
    let mut confirming = CONFIRMING;
    loop {
        resolver.replaced(current).await;
        match find(dialer, resolver, &mut listener).await {
            Ok(found) if found.address != *current => return found,
            Ok(_) | Err(_) => {}
        }
        let runtime = &dialer.runtime;
        runtime.sleep(confirming.next(runtime.random())).await;
    }
}

async fn dial(
    dialer: &Dialer,
    resolver: &dyn Resolver,
    address: &Address,
    listener: Arc<dyn Listener>,
) -> Result<Dialled, Error> {
    let mut dialled = dialer.dial(address, listener).await?;
    if resolver.is_elected() {
        let role = dialer.in_time(verify_role(dialer, &dialled.connection, address));
        drive(role, &mut dialled.carrier).await?;
    }
    dialled.connection.handshake_completed();
    Ok(dialled)
}
