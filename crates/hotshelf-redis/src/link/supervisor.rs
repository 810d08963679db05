//! The background task that keeps a link connected.

use std::error::Error as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use hotshelf_core::backoff::Backoff;
use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::resp::{Command, Value};
use hotshelf_wire::sentinel::is_primary;

use super::dialer::{Dialled, drive, send_all};
use super::state::{Shared, State};
use crate::connection::{CloseReason, Connection};
use crate::errors;
use crate::options::Address;

/// The first and the longest pause between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The pause before new credentials are requested again after a failure.
const CREDENTIALS_PAUSE: Duration = Duration::from_secs(1);

impl Shared {
    /// Spawns a supervisor unless one is running. The previous one may have ended with its
    /// async runtime.
    pub(super) fn supervise(shared: &Arc<Self>) {
        let mut supervision = shared.supervision.write();
        if supervision.is_supervised || matches!(supervision.state, State::Closed) {
            return;
        }
        supervision.is_supervised = true;
        drop(supervision);
        let supervisor = Supervisor(Arc::clone(shared));
        shared.dialer.runtime.spawn(Box::pin(async move {
            supervisor.0.keep_connected().await;
        }));
    }

    /// Connects, and reconnects whenever the connection is lost, until the link is closed.
    async fn keep_connected(&self) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let mut address = None;
            let connected =
                match select(pin!(self.connect(&mut address)), pin!(self.closed())).await {
                    Either::Left((connected, _)) => connected,
                    Either::Right(_) => return,
                };
            match connected {
                Ok(dialled) => {
                    let connection = dialled.connection.clone();
                    let reason = self.serve(dialled, address.as_ref()).await;
                    if reason == CloseReason::Closed {
                        return;
                    }
                    if let Some(address) = &address {
                        tracing::warn!(
                            "lost connection to {address} ({reason}); reconnecting, reads fall \
                             back to loaders"
                        );
                    }
                    self.set(State::Down(reason.into()));
                    // A server that accepts connections and never replies is tried less often.
                    if connection.has_answered() || reason == CloseReason::Replaced {
                        backoff.reset();
                    }
                }
                Err(error) => self.failed(error),
            }
            let runtime = &self.dialer.runtime;
            let pause = runtime.sleep(backoff.next(runtime.random()));
            let pause = select(pause, self.resolver.replaced(address.as_ref()));
            match select(pause, pin!(self.closed())).await {
                Either::Left((Either::Left(_), _)) => {}
                Either::Left((Either::Right(_), _)) => backoff.reset(),
                Either::Right(_) => return,
            }
        }
    }

    async fn connect(&self, address: &mut Option<Address>) -> Result<Dialled, Error> {
        let address = address.insert(self.resolver.resolve().await?);
        let mut dialled = self.dialer.dial(address, Arc::clone(&self.listener)).await?;
        if self.resolver.is_elected() {
            let role = self.dialer.in_time(self.verify_role(&dialled.connection));
            drive(role, &mut dialled.carrier).await?;
        }
        dialled.connection.handshake_completed();
        Ok(dialled)
    }

    /// Verifies that the server is a primary. If its ACL denies `ROLE`, the Sentinels are
    /// trusted; if they are wrong, the first `READONLY` shows it.
    async fn verify_role(&self, connection: &Connection) -> Result<(), Error> {
        let role = send_all(connection, [Command::new("ROLE")], self.dialer.timeout()).await?;
        match &role[..] {
            [Value::Error(_)] => Ok(()),
            [role] if is_primary(role) => Ok(()),
            _ => Err(errors::unavailable("the server reported by the Sentinels is not a primary")),
        }
    }

    /// Carries the connection's bytes until it is closed or has to be replaced.
    async fn serve(&self, dialled: Dialled, address: Option<&Address>) -> CloseReason {
        if let Some(address) = address {
            tracing::debug!("connected to {address}");
        }
        let Dialled { connection, carrier, valid_for, agreed } = dialled;
        let up = State::Up { connection: connection.clone(), tracking: agreed.tracking };
        if !self.set(up) {
            return CloseReason::Closed;
        }
        let authenticated = pin!(self.keep_authenticated(&connection, valid_for));
        let replaced = select(authenticated, self.resolver.replaced(address));
        match select(carrier, replaced).await {
            Either::Left((reason, _)) => reason,
            Either::Right(_) => {
                connection.abort(CloseReason::Replaced);
                CloseReason::Replaced
            }
        }
    }

    /// Re-authenticates the connection before the credentials expire. Never returns.
    async fn keep_authenticated(&self, connection: &Connection, mut valid_for: Option<Duration>) {
        let mut failing = false;
        while let Some(duration) = valid_for {
            self.dialer.runtime.sleep(duration.mul_f64(0.8)).await;
            valid_for = match self.dialer.authenticate(connection).await {
                Ok(valid_for) => {
                    failing = false;
                    valid_for
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!("can't renew the credentials ({error}); retrying");
                    }
                    Some(CREDENTIALS_PAUSE)
                }
            };
        }
        std::future::pending().await
    }

    fn failed(&self, error: Error) {
        let already_down = matches!(self.supervision.read().state, State::Down(_));
        if !already_down {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            tracing::warn!(
                "can't connect to the cache server ({error}{cause}); retrying, reads fall back to \
                 loaders"
            );
        }
        // For a caller, a timeout would mean that its command may have been executed.
        let error = match error.kind() {
            ErrorKind::Timeout => errors::unavailable("connecting timed out").with_source(error),
            _ => error,
        };
        self.set(State::Down(error));
    }
}

/// Marks the link as unsupervised when dropped.
struct Supervisor(Arc<Shared>);

impl Drop for Supervisor {
    fn drop(&mut self) {
        let mut supervision = self.0.supervision.write();
        supervision.is_supervised = false;
        if !matches!(supervision.state, State::Closed) {
            supervision.state = State::New;
        }
        drop(supervision);
        self.0.changed.notify(usize::MAX);
    }
}
