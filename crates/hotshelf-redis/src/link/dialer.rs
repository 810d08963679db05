//! Opening connections: the stream and the handshake.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use hotshelf_core::sync::Mutex;
use hotshelf_core::tag::TAG_PREFIX;
use hotshelf_core::timeout::within;
use hotshelf_core::{Error, ErrorKind, Moment, Runtime};
use hotshelf_wire::resp::{Command, Value};
use hotshelf_wire::{Agreed, Handshake, Login, Progress, Tracking};

use super::clock::{Reading, server_millis};
use crate::connection::{CloseReason, Connection, Listener, Request, Routing, Session};
use crate::errors::{self, is_connection_lost, is_from_server};
use crate::names::LEASE_PREFIX;
use crate::options::{Address, CredentialsProvider, RedisOptions};
use crate::transport::{Carrier, Peer, Transport};

/// Opens connections and performs the handshake.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) runtime: Arc<dyn Runtime>,
    transport: Arc<dyn Transport>,
    peer: Peer,
    provider: Arc<dyn CredentialsProvider>,
    /// The settings of the handshake; the credentials are added for each connection.
    login: Login,
    /// The servers that close connections at `HELLO`, when each of them last did, and whether
    /// that was logged.
    plain: Arc<Mutex<HashMap<Address, (Moment, bool)>>>,
    speaks_tls: bool,
    /// Whether servers are asked for their time.
    asks_time: bool,
    timeout: Duration,
}

/// How long it is remembered that a server closes connections at `HELLO`.
const PLAIN_FOR: Duration = Duration::from_secs(60);

/// A connection after the handshake, and the future that carries its bytes.
pub(crate) struct Dialled {
    pub(crate) connection: Connection,
    pub(crate) carrier: Carrier,
    /// The lifetime of the credentials.
    pub(crate) valid_for: Option<Duration>,
    pub(crate) agreed: Agreed,
    /// What the server's clock showed during the handshake, if it told it.
    pub(crate) clock: Option<Reading>,
}

/// Returns the prefixes that no other one covers: servers refuse overlapping ones.
fn without_overlaps(prefixes: &[String]) -> Vec<String> {
    let mut sorted: Vec<&String> = prefixes.iter().collect();
    sorted.sort();
    let mut kept: Vec<String> = Vec::new();
    for prefix in sorted {
        // A prefix comes before all that it covers.
        if kept.last().is_none_or(|last| !prefix.starts_with(last.as_str())) {
            kept.push(prefix.clone());
        }
    }
    kept
}

impl Dialer {
    /// Creates a dialer for servers.
    pub(crate) fn new(
        options: &RedisOptions,
        transport: Arc<dyn Transport>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let mut login = Login::default();
        login.database = options.database;
        login.client_name = options.client_name.clone();
        login.library = Some(("hotshelf".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
        login.tracking = options.tracking.clone();
        login.resp2 = options.protocol == 2;
        if let Tracking::Broadcast(prefixes) = &mut login.tracking {
            if !prefixes.is_empty() {
                prefixes.push(TAG_PREFIX.to_owned());
            }
            prefixes.push(LEASE_PREFIX.to_owned());
            *prefixes = without_overlaps(prefixes);
        }
        let (provider, timeout) = (options.provider(), options.connect_timeout);
        let (plain, speaks_tls) = (Arc::default(), options.tls.is_some());
        let (peer, asks_time) = (Peer::Server, true);
        Self { runtime, transport, peer, provider, login, plain, speaks_tls, asks_time, timeout }
    }

    /// Returns a dialer for listening connections, without tracking.
    pub(crate) fn for_listening(&self) -> Self {
        let mut dialer = self.clone();
        dialer.login.tracking = Tracking::Off;
        dialer.asks_time = false;
        dialer
    }

    /// Returns a dialer for Sentinels, which have their own credentials and TLS, and no
    /// databases.
    pub(crate) fn for_sentinels(&self, options: &RedisOptions) -> Self {
        let mut dialer = self.for_listening();
        dialer.peer = Peer::Sentinel;
        dialer.login.database = 0;
        dialer.provider = Arc::new(options.sentinel_credentials.clone());
        dialer.speaks_tls = options.tls_to_sentinels().is_some();
        dialer
    }

    /// Opens a connection and performs the handshake, within the connect timeout. If the server
    /// closes it meanwhile, twice, another one is opened with RESP2 and without the commands that
    /// a proxy may not know. Until that is known to be the cause, it costs up to another timeout.
    ///
    /// # Errors
    /// Of kind `Unavailable`, and those of the provider and the server.
    pub(crate) async fn dial(
        &self,
        address: &Address,
        listener: Arc<dyn Listener>,
    ) -> Result<Dialled, Error> {
        let dialled = self.in_time(self.dial_either(address, Arc::clone(&listener))).await?;
        let dialled = match dialled {
            Either::Left(dialled) => dialled,
            Either::Right(plain) => self.full_or(plain, address, listener).await,
        };
        dialled.connection.established();
        Ok(dialled)
    }

    /// Returns a connection with `HELLO` in place of one without it, unless the server closes it
    /// again: it may have been starting before.
    async fn full_or(
        &self,
        plain: Dialled,
        address: &Address,
        listener: Arc<dyn Listener>,
    ) -> Dialled {
        let full = self.in_time(async { Ok(self.dial_as(false, address, listener).await.ok()) });
        if let Ok(Some(full)) = full.await {
            self.plain.lock().remove(address);
            return full;
        }
        self.note_plain(address);
        plain
    }

    /// Returns, on the right, a connection without `HELLO` to a server that may know it.
    async fn dial_either(
        &self,
        address: &Address,
        listener: Arc<dyn Listener>,
    ) -> Result<Either<Dialled, Dialled>, Error> {
        let mut first = None;
        if !self.is_plain(address) {
            // Without `HELLO` it is another command that a proxy doesn't know.
            let attempts = if self.login.resp2 { 1 } else { 2 };
            for _ in 0..attempts {
                match self.dial_as(false, address, Arc::clone(&listener)).await {
                    Ok(dialled) => return Ok(Either::Left(dialled)),
                    Err(Refused::Finally(error)) => return Err(error),
                    // It may have been restarted just then.
                    Err(Refused::Closed(error)) => drop(first.get_or_insert(error)),
                }
            }
            // If the time runs out now, the next attempt begins here.
            self.plain.lock().insert(address.clone(), (self.runtime.now(), false));
        }
        match self.dial_as(true, address, listener).await {
            Ok(dialled) if self.is_known_as_plain(address) => Ok(Either::Left(dialled)),
            Ok(dialled) => Ok(Either::Right(dialled)),
            Err(Refused::Finally(error)) => Err(error),
            Err(Refused::Closed(error)) => {
                self.plain.lock().remove(address);
                let error = first.unwrap_or(error);
                match error.kind() {
                    ErrorKind::Protocol => Err(error),
                    _ => Err(self.closed_at_once(address, error)),
                }
            }
        }
    }

    fn is_plain(&self, address: &Address) -> bool {
        let known = self.plain.lock().get(address).copied();
        known.is_some_and(|(last, _)| self.runtime.now().since(last) < PLAIN_FOR)
    }

    /// Returns `true` if the server is known to close connections at `HELLO`: it does so while it
    /// serves others.
    fn is_known_as_plain(&self, address: &Address) -> bool {
        self.plain.lock().get(address).is_some_and(|(_, logged)| *logged)
    }

    fn note_plain(&self, address: &Address) {
        let mut plain = self.plain.lock();
        let logged =
            plain.get_mut(address).is_none_or(|(_, logged)| std::mem::replace(logged, true));
        drop(plain);
        if !logged && !self.login.resp2 {
            tracing::warn!(
                "{address} closes connections at `HELLO`: using RESP2, without reports of key \
                 changes; `?protocol=2` in the URL saves the attempts"
            );
        }
    }

    fn closed_at_once(&self, address: &Address, closed: Error) -> Error {
        let hint = match self.speaks_tls {
            true => "is it Redis or Valkey?",
            false => "use rediss:// in the URL if it speaks TLS",
        };
        let message = format!("{address} closed the connection during the handshake: {hint}");
        errors::unavailable(message).with_source(closed)
    }

    async fn dial_as(
        &self,
        plain: bool,
        address: &Address,
        listener: Arc<dyn Listener>,
    ) -> Result<Dialled, Refused> {
        let credentials = self.provider.credentials().await?;
        let connection = Connection::new(Arc::clone(&self.runtime), listener);
        let opened =
            self.transport.open(self.peer, address, Session::new(connection.clone())).await;
        let mut carrier = opened.map_err(|error| {
            // What the operating system or TLS says is the cause, and may name the cure.
            errors::unavailable(format!("can't reach {address}: {error}")).with_source(error)
        })?;
        let mut login = self.login.clone();
        login.user = credentials.user;
        login.password = credentials.password;
        if plain {
            (login.resp2, login.client_name, login.library) = (true, None, None);
        }
        let shaken = drive(self.handshake(&connection, login), &mut carrier).await;
        let (agreed, clock) = shaken.map_err(|error| match connection.last_words() {
            Some(words) => Refused::Finally(errors::from_server(words)),
            None if is_disconnected(&connection) && !is_from_server(&error) => {
                Refused::Closed(error)
            }
            None => Refused::Finally(error),
        })?;
        if agreed.tracking && self.login.tracking == Tracking::OptIn {
            connection.opt_in();
        }
        let valid_for = credentials.valid_for;
        Ok(Dialled { connection, carrier, valid_for, agreed, clock })
    }

    /// Runs `work` within the connect timeout.
    pub(crate) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        within(&*self.runtime, self.timeout, work).await.unwrap_or_else(|| {
            let hint = if self.speaks_tls { ": is it the port for TLS?" } else { "" };
            let message = format!("connecting timed out after {:?}{hint}", self.timeout);
            Err(errors::unavailable(message))
        })
    }

    /// Performs the handshake. The server's clock is read along with the second round trip.
    async fn handshake(
        &self,
        connection: &Connection,
        login: Login,
    ) -> Result<(Agreed, Option<Reading>), Error> {
        // A proxy that knows RESP2 alone may close the connection at a command it doesn't know.
        let (mut asks_time, mut clock) = (self.asks_time && !login.resp2, None);
        let (mut handshake, first) = Handshake::begin(login);
        let mut replies = send_all(connection, first, self.timeout).await?;
        loop {
            let mut next = Vec::new();
            for reply in replies {
                match handshake.receive(reply).map_err(errors::from_login)? {
                    Progress::Send(commands) => next = commands,
                    Progress::Wait => {}
                    Progress::Done(agreed) => return Ok((agreed, clock)),
                }
            }
            let asked = std::mem::replace(&mut asks_time, false);
            next.extend(asked.then(|| Command::new("TIME")));
            let sent = self.runtime.uptime();
            replies = send_all(connection, next, self.timeout).await?;
            if asked {
                let millis = replies.pop().as_ref().and_then(server_millis);
                clock = millis.map(|millis| Reading::new(sent, self.runtime.uptime(), millis));
            }
        }
    }

    /// Re-authenticates a connection in use, and returns the lifetime of the credentials.
    ///
    /// # Errors
    /// Those of the provider and the server.
    pub(crate) async fn authenticate(
        &self,
        connection: &Connection,
    ) -> Result<Option<Duration>, Error> {
        self.in_time(async {
            let credentials = self.provider.credentials().await?;
            let Some(password) = credentials.password else { return Ok(credentials.valid_for) };
            let auth = Command::new("AUTH").args(credentials.user).arg(password);
            match connection.send(&auth.into(), Routing::Owner, self.timeout)?.await? {
                Value::Error(error) => Err(errors::from_login(error)),
                _ => Ok(credentials.valid_for),
            }
        })
        .await
    }

    /// Returns which key changes servers are asked to report.
    pub(crate) fn tracking(&self) -> &Tracking {
        &self.login.tracking
    }

    /// Returns `true` if connections use TLS.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.speaks_tls
    }

    /// Returns the timeout of connecting, and of each command meanwhile.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// Why a connection was not established.
enum Refused {
    /// It was closed during the handshake.
    Closed(Error),
    Finally(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Finally(error)
    }
}

fn is_disconnected(connection: &Connection) -> bool {
    matches!(connection.closed(), Some(CloseReason::Disconnected | CloseReason::ProtocolError))
}

/// Sends commands at once and returns all replies, or the first error.
pub(crate) async fn send_all(
    connection: &Connection,
    commands: impl IntoIterator<Item = Command>,
    timeout: Duration,
) -> Result<Vec<Value>, Error> {
    let requests: Vec<Request> = commands.into_iter().map(Request::from).collect();
    let replies = connection.send_all(requests.iter(), Routing::Owner, timeout)?;
    replies.await.into_iter().collect()
}

/// Runs `work` on a connection while driving its carrier.
pub(crate) async fn drive<T>(
    work: impl Future<Output = Result<T, Error>>,
    carrier: &mut Carrier,
) -> Result<T, Error> {
    match select(pin!(work), carrier).await {
        Either::Left((done, _)) => done,
        // The last reply, or the server's reason, may have arrived together with the end of the
        // stream.
        Either::Right((reason, work)) => match work.now_or_never() {
            Some(Err(error)) if is_connection_lost(&error) => Err(reason.into()),
            Some(done) => done,
            None => Err(reason.into()),
        },
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Dialer");
        debug.field("transport", &self.transport).field("login", &self.login);
        debug.field("provider", &self.provider).finish_non_exhaustive()
    }
}
