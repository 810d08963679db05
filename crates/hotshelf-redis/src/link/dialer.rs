//! Opening connections: a stream, and what is said first on it.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use hotshelf_core::{Error, Moment, Runtime};
use hotshelf_wire::resp::{Command, Value};
use hotshelf_wire::{Agreed, Handshake, Login, Progress, Tracking};

use crate::connection::{Connection, Listener, Manner, Request};
use crate::errors;
use crate::options::{Address, Credentials, CredentialsProvider, RedisOptions};
use crate::transport::{Carrier, Transport};

/// Opens connections, and introduces us on them.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) runtime: Arc<dyn Runtime>,
    transport: Arc<dyn Transport>,
    provider: Arc<dyn CredentialsProvider>,
    /// All that we say of ourselves but the credentials.
    login: Login,
    timeout: Duration,
}

/// A connection that is ready, and what carries its bytes.
pub(crate) struct Dialled {
    pub(crate) connection: Connection,
    pub(crate) carrier: Carrier,
    /// What to believe of the credentials.
    pub(crate) valid_for: Option<Duration>,
    pub(crate) agreed: Agreed,
}

impl Dialer {
    /// Makes a dialer for servers.
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
        if let Tracking::Broadcast(prefixes) = &mut login.tracking {
            prefixes.push(crate::names::LEASE_PREFIX.to_owned());
        }
        let (provider, timeout) = (options.provider(), options.connect_timeout);
        Self { runtime, transport, provider, login, timeout }
    }

    /// Makes a dialer for connections that ask nothing of a cache: those that listen.
    pub(crate) fn for_listening(&self) -> Self {
        let mut dialer = self.clone();
        dialer.login.tracking = Tracking::Off;
        dialer
    }

    /// Makes a dialer for Sentinels, who have credentials of their own and no databases.
    pub(crate) fn for_sentinels(&self, credentials: Credentials) -> Self {
        let mut dialer = self.for_listening();
        dialer.login.database = 0;
        dialer.provider = Arc::new(credentials);
        dialer
    }

    /// Opens a connection and introduces us, within the time for connecting.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Unavailable`], or what the server says to our credentials.
    pub(crate) async fn dial(
        &self,
        address: &Address,
        listener: Arc<dyn Listener>,
    ) -> Result<Dialled, Error> {
        self.in_time(async {
            let credentials = self.provider.credentials().await?;
            let connection = Connection::new(Arc::clone(&self.runtime), listener);
            let opened = self.transport.open(address, connection.session()).await;
            let mut carrier = opened.map_err(|error| {
                errors::unavailable("the server can't be reached").with_source(error)
            })?;
            let mut login = self.login.clone();
            login.user = credentials.user;
            login.password = credentials.password;
            let agreed = while_carried(self.greet(&connection, login), &mut carrier).await?;
            if agreed.tracking && self.login.tracking == Tracking::OptIn {
                connection.opt_in();
            }
            let valid_for = credentials.valid_for;
            Ok(Dialled { connection, carrier, valid_for, agreed })
        })
        .await
    }

    /// Gives up what takes longer than connecting may.
    pub(crate) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match select(pin!(work), self.runtime.sleep(self.timeout)).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => Err(errors::unavailable("connecting took too long")),
        }
    }

    async fn greet(&self, connection: &Connection, login: Login) -> Result<Agreed, Error> {
        let (mut handshake, mut commands) = Handshake::begin(login);
        loop {
            let replies = ask_all(connection, commands, self.deadline()).await?;
            let mut next = Vec::new();
            for reply in replies {
                match handshake.receive(reply).map_err(errors::from_server)? {
                    Progress::Send(commands) => next = commands,
                    Progress::Wait => {}
                    Progress::Done(agreed) => return Ok(agreed),
                }
            }
            commands = next;
        }
    }

    /// Authenticates anew on a connection that is in use, and says for how long that is good.
    ///
    /// # Errors
    /// Those of the provider, and the server's.
    pub(crate) async fn authenticate(
        &self,
        connection: &Connection,
    ) -> Result<Option<Duration>, Error> {
        self.in_time(async {
            let credentials = self.provider.credentials().await?;
            let Some(password) = credentials.password else { return Ok(credentials.valid_for) };
            let auth = Command::new("AUTH").args(credentials.user).arg(password);
            match connection.ask(&auth.into(), Manner::Plain, self.deadline()).await? {
                Value::Error(error) => Err(errors::from_server(error)),
                _ => Ok(credentials.valid_for),
            }
        })
        .await
    }

    /// Gives the moment until which an answer of a new server is waited for.
    pub(crate) fn deadline(&self) -> Moment {
        self.runtime.now() + self.timeout
    }
}

/// Sends commands at once and gives all replies, or the first trouble.
pub(crate) async fn ask_all(
    connection: &Connection,
    commands: impl IntoIterator<Item = Command>,
    deadline: Moment,
) -> Result<Vec<Value>, Error> {
    let requests: Vec<Request> = commands.into_iter().map(Request::from).collect();
    let replies = connection.ask_all(requests.iter(), Manner::Plain, deadline).await?;
    replies.into_iter().collect()
}

/// Does something on a connection that nobody else carries.
pub(crate) async fn while_carried<T>(
    work: impl Future<Output = Result<T, Error>>,
    carrier: &mut Carrier,
) -> Result<T, Error> {
    match select(pin!(work), carrier).await {
        Either::Left((done, _)) => done,
        // The last answer may have come in the same breath.
        Either::Right((why, work)) => {
            work.now_or_never().filter(Result::is_ok).unwrap_or_else(|| Err(why.into()))
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Dialer");
        debug.field("transport", &self.transport).field("login", &self.login);
        debug.field("provider", &self.provider).finish_non_exhaustive()
    }
}
