//! The one connection to the server: it comes up in the background and comes back.

use std::error::Error as _;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use hotshelf_core::{Error, ErrorKind, Moment, Runtime};
use hotshelf_wire::Login;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::connection::{Connection, Driver, Ended, Target};
use crate::options::RedisOptions;

/// The first and the longest pause between attempts to connect; each is cut at random.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A connection that is shared by all callers.
pub(crate) struct Link {
    shared: Arc<Shared>,
    /// The task that keeps the connection up, once somebody has asked for it.
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    target: Target,
    login: Login,
    connect_timeout: Duration,
    runtime: Arc<dyn Runtime>,
    state: watch::Sender<State>,
}

#[derive(Clone)]
enum State {
    /// Nobody has asked for the connection yet, or the first attempt is under way.
    New,
    Up(Connection),
    Down(Error),
    Closed,
}

impl Link {
    /// Prepares a connection; nothing is sent before somebody asks for it.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for certificates that can't be read.
    pub(crate) fn new(options: &RedisOptions, runtime: Arc<dyn Runtime>) -> Result<Self, Error> {
        let shared = Shared {
            target: Target::new(options)?,
            login: options.login(),
            connect_timeout: options.connect_timeout,
            runtime,
            state: watch::Sender::new(State::New),
        };
        Ok(Self { shared: Arc::new(shared), supervisor: Mutex::new(None) })
    }

    /// Gives the connection. While the server is away it fails at once; only the first
    /// attempt of all is waited for, until the deadline.
    pub(crate) async fn connection(&self, deadline: Moment) -> Result<Connection, Error> {
        if let State::Up(connection) = &*self.shared.state.borrow()
            && connection.ended().is_none()
        {
            return Ok(connection.clone());
        }
        self.supervise();
        let mut states = self.shared.state.subscribe();
        let runtime = &self.shared.runtime;
        let too_late = runtime.sleep(deadline.since(runtime.now()));
        let settled = pin!(states.wait_for(|state| !matches!(state, State::New)));
        match select(settled, too_late).await {
            Either::Left((state, _)) => match state.as_deref() {
                Ok(State::Up(connection)) => Ok(connection.clone()),
                Ok(State::Down(error)) => Err(error.clone()),
                _ => Err(Error::new(ErrorKind::Closed, Ended::Closed.to_string())),
            },
            // Nothing was sent, so nothing is unknown.
            Either::Right(_) => Err(unavailable("the server can't be reached in time")),
        }
    }

    /// Lets the connection go for good.
    pub(crate) fn close(&self) {
        let state = self.shared.state.send_replace(State::Closed);
        if let State::Up(connection) = state {
            connection.give_up(Ended::Closed);
        }
        if let Some(supervisor) = self.lock_supervisor().take() {
            supervisor.abort();
        }
    }

    /// Starts the supervisor, also anew if it went down with an earlier async runtime.
    fn supervise(&self) {
        let mut supervisor = self.lock_supervisor();
        let closed = matches!(*self.shared.state.borrow(), State::Closed);
        if !closed && supervisor.as_ref().is_none_or(JoinHandle::is_finished) {
            *supervisor = Some(tokio::spawn(supervise(Arc::clone(&self.shared))));
        }
    }

    fn lock_supervisor(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.supervisor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.shared.state.borrow() {
            State::New => "new",
            State::Up(_) => "up",
            State::Down(_) => "down",
            State::Closed => "closed",
        };
        formatter.debug_struct("Link").field("state", &state).finish_non_exhaustive()
    }
}

fn unavailable(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}

impl Shared {
    /// Changes the state, unless the link is closed, which is for good.
    fn set(&self, new: State) {
        self.state.send_if_modified(|state| {
            let open = !matches!(state, State::Closed);
            if open {
                *state = new;
            }
            open
        });
    }

    async fn connect(&self) -> Result<(Connection, Driver), Error> {
        let connecting = pin!(async {
            let connection = Connection::new(Arc::clone(&self.runtime));
            let mut driver = Driver::new(connection.clone(), self.target.open().await?);
            driver.shake_hands(self.login.clone()).await?;
            Ok((connection, driver))
        });
        match select(connecting, self.runtime.sleep(self.connect_timeout)).await {
            Either::Left((connected, _)) => connected,
            Either::Right(_) => Err(unavailable("connecting took too long")),
        }
    }
}

/// Keeps the connection up until it is closed, and carries its bytes.
async fn supervise(shared: Arc<Shared>) {
    let mut pause = FIRST_PAUSE;
    loop {
        match shared.connect().await {
            Ok((connection, driver)) => {
                tracing::debug!("connected to the cache server");
                shared.set(State::Up(connection.clone()));
                let why = driver.await;
                if why == Ended::Closed {
                    return;
                }
                tracing::warn!("lost the connection to the cache server: {why}");
                shared.set(State::Down(unavailable(why.to_string())));
                // A server that takes connections and answers nothing is asked less and less.
                if connection.has_answered() {
                    pause = FIRST_PAUSE;
                }
            }
            Err(error) => {
                let already_down = matches!(*shared.state.borrow(), State::Down(_));
                if !already_down {
                    let cause = error.source().map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(%error, cause, "can't connect to the cache server");
                }
                shared.set(State::Down(error));
            }
        }
        let cut = shared.runtime.random() as f64 / u64::MAX as f64;
        shared.runtime.sleep(pause.mul_f64(1.0 - cut / 2.0)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
