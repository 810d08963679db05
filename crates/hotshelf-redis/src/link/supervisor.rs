//! The background task that keeps a link connected.

use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};
use hotshelf_core::backoff::Backoff;
use hotshelf_core::{Error, ErrorKind, Moment};

use hotshelf_wire::Tracking;

use super::dialer::Dialled;
use super::finding::{Found, find, successor};
use super::role::until_demoted;
use super::state::{Shared, State};
use super::vouching::keep_vouching;
use crate::connection::{CloseReason, Connection};
use crate::errors;
use crate::options::Address;

/// The first and the longest pause between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

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
        let runtime = &self.dialer.runtime;
        let (mut backoff, mut pauses) = (Backoff::new(FIRST_PAUSE, LONGEST_PAUSE), Pauses::new());
        loop {
            let found = match select(pin!(self.find()), pin!(self.closed())).await {
                Either::Left((found, _)) => found,
                Either::Right(_) => return,
            };
            let mut address = None;
            match found {
                Ok(found) => {
                    let (served, loss) = self.serve(found).await;
                    if loss.reason == CloseReason::Closed {
                        return;
                    }
                    pauses.log(&served, &loss);
                    if loss.worked {
                        backoff.reset();
                        // Callers wait for the attempt to connect again.
                        self.set(State::New);
                        if pauses.may_skip(runtime.now()) {
                            continue;
                        }
                    } else {
                        // A server that accepts connections and never replies is tried less
                        // often.
                        // Without the cause: a command that fails at once was not lost.
                        let error = Error::from(loss.reason);
                        self.set(State::Down(Error::new(error.kind(), error.to_string())));
                    }
                    address = Some(served);
                }
                Err(error) => self.failed(error),
            }
            let pause = runtime.sleep(backoff.next(runtime.random()));
            let replaced = match &address {
                Some(address) => self.resolver.replaced(address),
                None => Box::pin(pending()),
            };
            match select(select(pause, replaced), pin!(self.closed())).await {
                Either::Left((Either::Left(_), _)) => {}
                Either::Left((Either::Right(_), _)) => {
                    backoff.reset();
                    runtime.sleep(FIRST_PAUSE).await;
                }
                Either::Right(_) => return,
            }
        }
    }

    async fn find(&self) -> Result<Found, Error> {
        find(&self.dialer, &*self.resolver, || Arc::clone(&self.listener)).await
    }

    /// Carries the bytes of the connection to a server, and to those that replace it, until it
    /// is lost.
    async fn serve(&self, found: Found) -> (Address, Loss) {
        let Found { mut address, mut dialled } = found;
        loop {
            let next = match self.serve_one(&address, dialled).await {
                Served::Replaced(next) => next,
                Served::Lost(loss) => return (address, loss),
            };
            tracing::warn!("{} has replaced {address} as the primary", next.address);
            (address, dialled) = (next.address, next.dialled);
        }
    }

    async fn serve_one(&self, address: &Address, dialled: Dialled) -> Served {
        tracing::debug!("connected to {address}");
        let Dialled { connection, carrier, valid_for, agreed, clock } = dialled;
        let wanted = self.listener.near().filter(|_| *self.dialer.tracking() != Tracking::Off);
        let near = wanted.filter(|_| agreed.tracking);
        if let Some(near) = near {
            connection.vouch(near.source());
        } else if let Some(near) = wanted
            && !self.logged_silence.swap(true, Ordering::Relaxed)
        {
            let instead = near.options().unreported();
            tracing::warn!("{address} doesn't report key changes; {instead}");
        }
        self.clock.restart(clock);
        let up = State::Up {
            connection: connection.clone(),
            address: address.clone(),
            tracking: agreed.tracking,
        };
        if !self.set(up) {
            let reason = CloseReason::Closed;
            return Served::Lost(Loss { reason, worked: true, idle: true });
        }
        let began = self.dialer.runtime.now();
        let authenticated = pin!(self.keep_authenticated(&connection, valid_for));
        let listener = || Arc::clone(&self.listener);
        let replaced = pin!(successor(&self.dialer, &*self.resolver, address, listener));
        // A proxy that knows RESP2 alone may close the connection at a command it doesn't know.
        let watched = self.resolver.may_be_demoted() && agreed.resp3;
        let demoted = pin!(self.give_up_demoted(watched, &connection));
        let vouching = pin!(keep_vouching(self, near, &connection));
        let watching = select(demoted, vouching);
        match select(select(carrier, watching), select(authenticated, replaced)).await {
            Either::Left((Either::Right((never, _)), _)) => match never.factor_first().0 {},
            Either::Left((Either::Left((reason, _)), _)) => {
                // Servers close idle connections.
                let lasted = self.dialer.runtime.now().since(began) > LONGEST_PAUSE;
                let idle =
                    reason == CloseReason::Disconnected && lasted && connection.closed_idle();
                let worked = idle || reason == CloseReason::Demoted || connection.has_answered();
                Served::Lost(Loss { reason, worked, idle })
            }
            Either::Right((Either::Left((never, _)), _)) => match never {},
            Either::Right((Either::Right((next, _)), _)) => {
                // Calls in flight fail: the new primary may lack what the old one acknowledges.
                connection.abort(CloseReason::Replaced);
                Served::Replaced(next)
            }
        }
    }

    /// Closes the connection when its server is no primary. Never returns.
    async fn give_up_demoted(&self, watched: bool, connection: &Connection) -> Infallible {
        if watched {
            until_demoted(&self.dialer, connection).await;
            while !self.may_give_up(connection) {
                self.dialer.runtime.sleep(LONGEST_PAUSE).await;
            }
            connection.abort(CloseReason::Demoted);
        }
        pending().await
    }

    /// Re-authenticates the connection before the credentials expire. Never returns.
    async fn keep_authenticated(
        &self,
        connection: &Connection,
        mut valid_for: Option<Duration>,
    ) -> Infallible {
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
        pending().await
    }

    fn failed(&self, error: Error) {
        let already_down = matches!(self.supervision.read().state, State::Down(_));
        if !already_down {
            let error = error.with_causes();
            tracing::warn!(
                "can't connect to the cache server ({error}); retrying, reads fall back to loaders"
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

/// What ended the use of a connection.
enum Served {
    /// Another server, connected.
    Replaced(Found),
    Lost(Loss),
}

/// How a connection was lost.
struct Loss {
    reason: CloseReason,
    /// Whether the server has replied to commands.
    worked: bool,
    /// Whether it was closed as an idle one, which servers do after a while.
    idle: bool,
}

/// What bounds the attempts to connect of a link whose connections don't last.
struct Pauses {
    /// When an attempt was last made without a pause.
    skipped: Option<Moment>,
    /// Whether the last connection was given up because its server was demoted.
    demoted: bool,
}

impl Pauses {
    fn new() -> Self {
        Self { skipped: None, demoted: false }
    }

    /// Logs a loss, unless it is no change of state: an idle connection, or a server that is a
    /// replica for good and is given up again and again.
    fn log(&mut self, address: &Address, loss: &Loss) {
        let Loss { reason, idle, .. } = loss;
        let demoted = *reason == CloseReason::Demoted;
        if std::mem::replace(&mut self.demoted, demoted) && demoted || *idle {
            tracing::debug!("lost connection to {address} ({reason}); reconnecting");
            return;
        }
        tracing::warn!(
            "lost connection to {address} ({reason}); reconnecting, reads fall back to loaders"
        );
    }

    /// Returns `true` if the next attempt may be made at once: the last such one is a while ago.
    fn may_skip(&mut self, now: Moment) -> bool {
        let may = self.skipped.is_none_or(|last| now.since(last) >= LONGEST_PAUSE);
        if may {
            self.skipped = Some(now);
        }
        may
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
