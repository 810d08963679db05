//! The one connection to the server: it comes up in the background and comes back.

use std::error::Error as _;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hotshelf_core::{Error, ErrorKind, Runtime};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind};
#[cfg(feature = "tls")]
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::errors;
use crate::options::RedisOptions;

/// How many commands may wait for the driver before callers wait for room.
const QUEUE: usize = 1024;

/// The first and the longest pause between attempts to connect; each is cut at random.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// After so many timeouts in a row a connection is given up: the server behind it may be
/// gone without a word. Requests that were under way together count as one, or a hiccup
/// of a busy moment would cost the connection.
const TIMEOUTS_IN_A_ROW: u32 = 3;

/// A connection that is shared by all callers.
pub(crate) struct Link {
    shared: Arc<Shared>,
    /// The task that keeps the connection up, once somebody has asked for it.
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    client: Client,
    connect_timeout: Duration,
    client_name: Option<String>,
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

/// A connection, told apart from those before and after it, so that what happens late on
/// an old one is not held against the one that is up.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) driver: MultiplexedConnection,
    identity: Arc<Identity>,
}

#[derive(Default)]
struct Identity {
    has_answered: AtomicBool,
    timeouts_in_a_row: AtomicU32,
    /// When the last of these timeouts was counted.
    counted: Mutex<Option<Instant>>,
}

impl Link {
    /// Prepares a connection; nothing is sent before somebody asks for it.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for certificates that can't be read.
    pub(crate) fn new(options: &RedisOptions, runtime: Arc<dyn Runtime>) -> Result<Self, Error> {
        let shared = Shared {
            client: client(options)?,
            connect_timeout: options.connect_timeout,
            client_name: options.client_name.clone(),
            runtime,
            state: watch::Sender::new(State::New),
        };
        Ok(Self { shared: Arc::new(shared), supervisor: Mutex::new(None) })
    }

    /// Gives the connection. While the server is away it fails at once; only the first
    /// attempt of all is waited for.
    pub(crate) async fn connection(&self) -> Result<Connection, Error> {
        if let State::Up(connection) = &*self.shared.state.borrow() {
            return Ok(connection.clone());
        }
        self.supervise();
        let mut states = self.shared.state.subscribe();
        let settled = states.wait_for(|state| !matches!(state, State::New)).await;
        match settled.as_deref() {
            Ok(State::Up(connection)) => Ok(connection.clone()),
            Ok(State::Down(error)) => Err(error.clone()),
            _ => Err(closed()),
        }
    }

    /// Takes note that the server answered on a connection.
    pub(crate) fn answered(&self, connection: &Connection) {
        connection.identity.has_answered.store(true, Ordering::Relaxed);
        connection.identity.timeouts_in_a_row.store(0, Ordering::Relaxed);
    }

    /// Takes note that the server didn't answer in time, on a connection, what was asked
    /// at `sent`.
    pub(crate) fn timed_out(&self, connection: &Connection, sent: Instant) {
        let identity = &connection.identity;
        let mut counted = identity.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.is_some_and(|counted| sent < counted) {
            return;
        }
        *counted = Some(Instant::now());
        drop(counted);
        if identity.timeouts_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= TIMEOUTS_IN_A_ROW {
            self.shared.lose(&connection.identity, "the server stopped answering");
        }
    }

    /// Takes note that a connection broke, which its driver doesn't always tell: it may
    /// have ended with the async runtime that it ran in.
    pub(crate) fn broke(&self, connection: &Connection) {
        self.shared.lose(&connection.identity, "the connection was cut");
    }

    /// Lets the connection go for good.
    pub(crate) fn close(&self) {
        self.shared.set(State::Closed);
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

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store was closed")
}

#[cfg(not(feature = "tls"))]
fn client(options: &RedisOptions) -> Result<Client, Error> {
    Client::open(options.connection_info()?).map_err(errors::from_redis)
}

#[cfg(feature = "tls")]
fn client(options: &RedisOptions) -> Result<Client, Error> {
    // rustls takes the process's choice of cryptography. A program that has made none, or
    // has several in its build, would panic at its first connection.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _chosen_meanwhile = rustls::crypto::ring::default_provider().install_default();
    }
    let Some(pem) = &options.root_certificates else {
        return Client::open(options.connection_info()?).map_err(errors::from_redis);
    };
    let readable = |certificates: Vec<Result<_, _>>| {
        !certificates.is_empty() && certificates.iter().all(Result::is_ok)
    };
    if !readable(CertificateDer::pem_slice_iter(pem).collect()) {
        let message = "the root certificates can't be read: give them in PEM";
        return Err(Error::new(ErrorKind::Configuration, message));
    }
    let certificates = redis::TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) };
    Client::build_with_tls(options.connection_info()?, certificates).map_err(errors::from_redis)
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

    /// Gives a connection up, if it is still the one that is up.
    fn lose(&self, identity: &Arc<Identity>, why: &'static str) {
        self.state.send_if_modified(|state| {
            let current = match state {
                State::Up(connection) => Arc::ptr_eq(&connection.identity, identity),
                _ => false,
            };
            if current {
                tracing::warn!("lost the connection to the cache server: {why}");
                *state = State::Down(Error::new(ErrorKind::Unavailable, why));
            }
            current
        });
    }

    async fn connect(self: &Arc<Self>) -> Result<Connection, Error> {
        let identity = Arc::new(Identity::default());
        let losing = (Arc::downgrade(self), Arc::clone(&identity));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_push_sender(move |push: PushInfo| {
                let (shared, identity) = &losing;
                if push.kind == PushKind::Disconnection
                    && let Some(shared) = shared.upgrade()
                {
                    shared.lose(identity, "the connection was cut");
                }
                Ok::<_, redis::aio::SendError>(())
            });
        let connecting = async {
            let mut driver =
                self.client.get_multiplexed_async_connection_with_config(&config).await?;
            if let Some(name) = &self.client_name {
                redis::cmd("CLIENT").arg("SETNAME").arg(name).exec_async(&mut driver).await?;
            }
            redis::RedisResult::Ok(driver)
        };
        let too_long = || Error::new(ErrorKind::Unavailable, "connecting took too long");
        match tokio::time::timeout(self.connect_timeout, connecting).await {
            Ok(Ok(driver)) => Ok(Connection { driver, identity }),
            // Nothing was asked yet, so nothing is unknown.
            Ok(Err(error)) if error.is_timeout() => Err(too_long().with_source(error)),
            Ok(Err(error)) => Err(errors::from_redis(error)),
            Err(_) => Err(too_long()),
        }
    }
}

/// Keeps the connection up until it is closed.
async fn supervise(shared: Arc<Shared>) {
    let mut states = shared.state.subscribe();
    let mut pause = FIRST_PAUSE;
    loop {
        match shared.connect().await {
            Ok(connection) => {
                tracing::debug!("connected to the cache server");
                let identity = Arc::clone(&connection.identity);
                shared.set(State::Up(connection));
                let ended = states.wait_for(|state| !matches!(state, State::Up(_))).await;
                if !matches!(ended.as_deref(), Ok(State::Down(_))) {
                    return;
                }
                // A server that takes connections and answers nothing is asked less and less.
                if identity.has_answered.load(Ordering::Relaxed) {
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
