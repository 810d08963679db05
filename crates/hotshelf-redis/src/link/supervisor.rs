//! Keeps a link up.

use std::error::Error as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::resp::{Command, Value};
use hotshelf_wire::sentinel::is_primary;

use super::{Dialled, Shared, State, ask_all, while_carried};
use crate::connection::{Connection, Ended};
use crate::errors;
use crate::options::Address;

/// The first and the longest pause between attempts to connect; each is cut at random.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The pause before credentials are asked for again that couldn't be had, or were refused.
const CREDENTIALS_PAUSE: Duration = Duration::from_secs(1);

impl Shared {
    /// Starts a supervisor if there is none, also anew if it went down with an earlier
    /// async runtime.
    pub(super) fn supervise(shared: &Arc<Self>) {
        let mut state = shared.write();
        if state.1 || matches!(state.0, State::Closed) {
            return;
        }
        state.1 = true;
        drop(state);
        let supervisor = Supervisor(Arc::clone(shared));
        shared.dialer.runtime.spawn(Box::pin(async move {
            supervisor.0.keep_up().await;
        }));
    }

    /// Connects again and again, until the link is closed.
    async fn keep_up(&self) {
        let mut pause = FIRST_PAUSE;
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
                    let why = self.serve(dialled, address.as_ref()).await;
                    if why == Ended::Closed {
                        return;
                    }
                    tracing::warn!("lost the connection to the cache server: {why}");
                    self.set(State::Down(why.into()));
                    // A server that takes connections and answers nothing is asked less and
                    // less.
                    if connection.has_answered() || why == Ended::Replaced {
                        pause = FIRST_PAUSE;
                    }
                }
                Err(error) => self.failed(error),
            }
            let cut = self.dialer.runtime.random() as f64 / u64::MAX as f64;
            let paused = self.dialer.runtime.sleep(pause.mul_f64(1.0 - cut / 2.0));
            let paused = select(paused, self.place.replaced(address.as_ref()));
            match select(paused, pin!(self.closed())).await {
                Either::Left((Either::Left(_), _)) => pause = (pause * 2).min(LONGEST_PAUSE),
                Either::Left((Either::Right(_), _)) => pause = FIRST_PAUSE,
                Either::Right(_) => return,
            }
        }
    }

    async fn connect(&self, found: &mut Option<Address>) -> Result<Dialled, Error> {
        let address = found.insert(self.place.find().await?);
        let mut dialled = self.dialer.dial(address, Arc::clone(&self.listener)).await?;
        if self.place.is_elected() {
            let role = self.dialer.in_time(self.ask_role(&dialled.connection));
            while_carried(role, &mut dialled.carrier).await?;
        }
        dialled.connection.introduced();
        Ok(dialled)
    }

    /// Makes sure that the server is a primary. One whose rules don't let us ask is taken
    /// for what the Sentinels say; its first `READONLY` will tell.
    async fn ask_role(&self, connection: &Connection) -> Result<(), Error> {
        let role = ask_all(connection, [Command::new("ROLE")], self.dialer.deadline()).await?;
        match &role[..] {
            [Value::Error(_)] => Ok(()),
            [role] if is_primary(role) => Ok(()),
            _ => Err(errors::unavailable("the Sentinels name a server that is no primary")),
        }
    }

    /// Carries the connection's bytes until it ends, or has to.
    async fn serve(&self, dialled: Dialled, address: Option<&Address>) -> Ended {
        tracing::debug!("connected to the cache server");
        let Dialled { connection, carrier, valid_for, agreed } = dialled;
        if !self.set(State::Up(connection.clone(), agreed.tracking)) {
            return Ended::Closed;
        }
        let upkeep = pin!(self.keep_authenticated(&connection, valid_for));
        let replaced = select(upkeep, self.place.replaced(address));
        match select(carrier, replaced).await {
            Either::Left((why, _)) => why,
            Either::Right(_) => {
                connection.give_up(Ended::Replaced);
                Ended::Replaced
            }
        }
    }

    /// Authenticates anew each time before the credentials end to be valid. Never ends.
    async fn keep_authenticated(&self, connection: &Connection, mut valid_for: Option<Duration>) {
        while let Some(duration) = valid_for {
            self.dialer.runtime.sleep(duration.mul_f64(0.8)).await;
            valid_for = match self.dialer.authenticate(connection).await {
                Ok(valid_for) => valid_for,
                Err(error) => {
                    tracing::warn!(%error, "can't renew the credentials of the cache server");
                    Some(CREDENTIALS_PAUSE)
                }
            };
        }
        std::future::pending().await
    }

    fn failed(&self, error: Error) {
        let already_down = matches!(self.read().0, State::Down(_));
        if !already_down {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%error, cause, "can't connect to the cache server");
        }
        // To a caller, trouble with a server that isn't understood is trouble with a server.
        let error = match error.kind() {
            ErrorKind::Timeout => {
                errors::unavailable("connecting took too long").with_source(error)
            }
            _ => error,
        };
        self.set(State::Down(error));
    }
}

/// Leaves the link to the next supervisor if it is dropped.
struct Supervisor(Arc<Shared>);

impl Drop for Supervisor {
    fn drop(&mut self) {
        let mut state = self.0.write();
        state.1 = false;
        if !matches!(state.0, State::Closed) {
            state.0 = State::New;
        }
        drop(state);
        self.0.changed.notify(usize::MAX);
    }
}
