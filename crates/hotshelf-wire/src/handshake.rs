//! The first commands on a new connection.

use std::fmt;

use crate::resp::{Command, ServerError, Value};

/// The credentials and settings of a new connection.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Login {
    /// The user. Default: `default`.
    pub user: Option<String>,
    /// The password, if the server requires one.
    pub password: Option<String>,
    /// The database number.
    pub database: u64,
    /// The name that `CLIENT LIST` shows for the connection.
    pub client_name: Option<String>,
    /// The library's name and version, also shown by `CLIENT LIST`.
    pub library: Option<(String, String)>,
    /// Whether to use RESP2 without trying RESP3.
    pub resp2: bool,
    /// The key changes that the server reports.
    pub tracking: Tracking,
}

/// The key changes that a server reports to a connection. Requires RESP3.
///
/// See <https://redis.io/docs/latest/develop/reference/client-side-caching/>.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tracking {
    /// No changes.
    #[default]
    Off,
    /// Changes of keys that were read by a command right after `CLIENT CACHING YES`.
    OptIn,
    /// Changes of all keys with one of these prefixes.
    Broadcast(Vec<String>),
}

impl Tracking {
    /// Returns `true` if changes of a key are reported, once it was read as each kind demands.
    #[must_use]
    pub fn covers(&self, key: &[u8]) -> bool {
        match self {
            Self::Off => false,
            Self::OptIn => true,
            Self::Broadcast(prefixes) => {
                prefixes.iter().any(|prefix| key.starts_with(prefix.as_bytes()))
            }
        }
    }

    /// Returns `true` if reports leave the server at the end of its turn, behind the replies.
    #[must_use]
    pub fn is_broadcast(&self) -> bool {
        matches!(self, Self::Broadcast(_))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Login");
        debug.field("user", &self.user).field("password", &self.password.as_ref().map(|_| "***"));
        debug.field("database", &self.database).finish_non_exhaustive()
    }
}

/// The handshake with a server: two round trips, or three if the server doesn't know `HELLO`.
#[derive(Debug)]
pub struct Handshake {
    login: Login,
    step: Step,
    resp3: bool,
}

#[derive(Debug, PartialEq)]
enum Step {
    /// `HELLO`, with user, password and name.
    Hello,
    /// `AUTH`, `CLIENT SETNAME` and `PING`, for a server without `HELLO`.
    Auth {
        replies: usize,
    },
    /// `SELECT`, and the commands that may fail.
    Settings {
        replies: usize,
    },
    Done,
}

/// The outcome of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Whether the connection uses RESP3 rather than RESP2.
    pub resp3: bool,
    /// Whether the server reports key changes: `false` if it doesn't support tracking, or if
    /// its ACL denies it.
    pub tracking: bool,
}

/// The progress of a handshake.
#[derive(Debug, PartialEq)]
pub enum Progress {
    /// Send these commands; their replies belong to the handshake.
    Send(Vec<Command>),
    /// More replies are outstanding.
    Wait,
    /// The connection is ready.
    Done(Agreed),
}

impl Handshake {
    /// Begins a handshake and returns the commands to send.
    #[must_use]
    pub fn begin(login: Login) -> (Self, Vec<Command>) {
        if login.resp2 {
            let mut handshake = Self { login, step: Step::Done, resp3: false };
            let commands = handshake.authenticate();
            return (handshake, commands);
        }
        let mut hello = Command::new("HELLO").number(3);
        if login.user.is_some() || login.password.is_some() {
            let user = login.user.as_deref().unwrap_or("default");
            hello = hello.arg("AUTH").arg(user).arg(login.password.as_deref().unwrap_or_default());
        }
        if let Some(name) = &login.client_name {
            hello = hello.arg("SETNAME").arg(name);
        }
        (Self { login, step: Step::Hello, resp3: true }, vec![hello])
    }

    /// Processes the next reply.
    ///
    /// Whatever the words in which a server or a proxy refuses `HELLO`, RESP2 is tried next. A
    /// refused `CLIENT` is no error.
    ///
    /// # Errors
    /// The server's own, if it refuses the credentials, the database or the connection.
    pub fn receive(&mut self, reply: Value) -> Result<Progress, ServerError> {
        let settings = self.settings().len();
        let authentication = if self.auth().is_some() { self.logins().len() } else { 0 };
        match (&mut self.step, reply) {
            (Step::Hello, Value::Error(error)) if !is_final(&error) => {
                self.resp3 = false;
                Ok(Progress::Send(self.authenticate()))
            }
            (Step::Hello, Value::Error(error)) => Err(error),
            // `AUTH` comes first, if there is one, and `PING` last. `CLIENT SETNAME` may fail.
            (Step::Auth { replies }, Value::Error(error))
                if *replies == authentication || *replies == 1 || is_final(&error) =>
            {
                Err(error)
            }
            // `SELECT` comes first. The others may fail.
            (Step::Settings { replies }, Value::Error(error))
                if *replies == settings && self.login.database > 0 =>
            {
                Err(error)
            }
            (Step::Auth { replies } | Step::Settings { replies }, _) if *replies > 1 => {
                *replies -= 1;
                Ok(Progress::Wait)
            }
            (Step::Hello | Step::Auth { .. }, _) => Ok(self.send_settings()),
            (Step::Settings { .. } | Step::Done, reply) => {
                let refused = matches!(reply, Value::Error(_));
                Ok(self.done(self.wants_tracking() && !refused))
            }
        }
    }

    fn done(&mut self, tracking: bool) -> Progress {
        self.step = Step::Done;
        Progress::Done(Agreed { resp3: self.resp3, tracking })
    }

    /// Returns the commands that authenticate with RESP2.
    fn authenticate(&mut self) -> Vec<Command> {
        let commands = self.logins();
        self.step = Step::Auth { replies: commands.len() };
        commands
    }

    fn logins(&self) -> Vec<Command> {
        let name = self.login.client_name.as_ref();
        let name = name.map(|name| Command::new("CLIENT").arg("SETNAME").arg(name));
        self.auth().into_iter().chain(name).chain([Command::new("PING")]).collect()
    }

    fn auth(&self) -> Option<Command> {
        let Login { user, password, .. } = &self.login;
        let password = password.as_deref().or(user.as_ref().map(|_| ""))?;
        Some(Command::new("AUTH").args(user).arg(password))
    }

    fn send_settings(&mut self) -> Progress {
        let commands = self.settings();
        if commands.is_empty() {
            return self.done(false);
        }
        self.step = Step::Settings { replies: commands.len() };
        Progress::Send(commands)
    }

    /// Returns the commands after the login: first `SELECT`, unless the database is the
    /// default one, and last those without which there is no tracking.
    fn settings(&self) -> Vec<Command> {
        let client = |subcommand: &str| Command::new("CLIENT").arg(subcommand);
        let mut commands = Vec::new();
        if self.login.database > 0 {
            commands.push(Command::new("SELECT").number(self.login.database));
        }
        if let Some((name, version)) = &self.login.library {
            commands.push(client("SETINFO").arg("LIB-NAME").arg(name));
            commands.push(client("SETINFO").arg("LIB-VER").arg(version));
        }
        if self.wants_tracking() {
            let track = client("TRACKING").arg("ON");
            commands.push(match &self.login.tracking {
                Tracking::Broadcast(prefixes) => {
                    let prefix = |track: Command, prefix| track.arg("PREFIX").arg(prefix);
                    prefixes.iter().fold(track.arg("BCAST"), prefix)
                }
                _ => track.arg("OPTIN"),
            });
            if self.login.tracking == Tracking::OptIn {
                // What an ACL may refuse apart; it is refused without tracking, too.
                commands.push(client("CACHING").arg("YES"));
            }
        }
        commands
    }

    fn wants_tracking(&self) -> bool {
        self.resp3 && self.login.tracking != Tracking::Off
    }
}

/// Returns `true` if the server refuses the credentials or the connection, rather than the
/// command.
fn is_final(error: &ServerError) -> bool {
    const CODES: [&[u8]; 4] = [b"WRONGPASS", b"NOAUTH", b"DENIED", b"LOADING"];
    CODES.contains(&error.code()) || error.detail().starts_with(b"max number of clients")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn ok() -> Value {
        Value::Simple(Bytes::from_static(b"OK"))
    }

    fn failed(line: &'static str) -> Value {
        Value::Error(ServerError::new(Bytes::from_static(line.as_bytes())))
    }

    fn login() -> Login {
        Login {
            user: Some("app".into()),
            password: Some("secret".into()),
            database: 2,
            client_name: Some("web".into()),
            library: Some(("hotshelf".into(), "1".into())),
            resp2: false,
            tracking: Tracking::Off,
        }
    }

    const RESP3: Agreed = Agreed { resp3: true, tracking: false };

    fn commands(lines: &[&str]) -> Vec<Command> {
        let command = |line: &&str| {
            let mut words = line.split(' ');
            Command::new(words.next().unwrap_or_default()).args(words)
        };
        lines.iter().map(command).collect()
    }

    fn settings() -> Progress {
        Progress::Send(commands(&[
            "SELECT 2",
            "CLIENT SETINFO LIB-NAME hotshelf",
            "CLIENT SETINFO LIB-VER 1",
        ]))
    }

    #[test]
    fn modern_server_takes_two_round_trips() {
        let (mut handshake, first) = Handshake::begin(login());
        assert_eq!(first, commands(&["HELLO 3 AUTH app secret SETNAME web"]));
        assert_eq!(handshake.receive(Value::Map(vec![])), Ok(settings()));
        assert_eq!(handshake.receive(ok()), Ok(Progress::Wait));
        assert_eq!(handshake.receive(failed("ERR unknown subcommand")), Ok(Progress::Wait));
        assert_eq!(handshake.receive(ok()), Ok(Progress::Done(RESP3)));
    }

    #[test]
    fn default_settings_send_only_hello() {
        let (mut handshake, first) = Handshake::begin(Login::default());
        assert_eq!(first, commands(&["HELLO 3"]));
        assert_eq!(handshake.receive(Value::Map(vec![])), Ok(Progress::Done(RESP3)));
    }

    #[test]
    fn server_may_refuse_tracking() {
        let prefixes = Tracking::Broadcast(vec!["a:".into(), "b:".into()]);
        for (tracking, line) in [
            (Tracking::OptIn, &["CLIENT TRACKING ON OPTIN", "CLIENT CACHING YES"][..]),
            (prefixes, &["CLIENT TRACKING ON BCAST PREFIX a: PREFIX b:"]),
        ] {
            for (reply, tracked) in [(ok(), true), (failed("NOPERM"), false)] {
                let login = Login { tracking: tracking.clone(), ..Login::default() };
                let (mut handshake, _) = Handshake::begin(login);
                let settings = Progress::Send(commands(line));
                assert_eq!(handshake.receive(Value::Map(vec![])), Ok(settings));
                for _ in 1..line.len() {
                    assert_eq!(handshake.receive(ok()), Ok(Progress::Wait));
                }
                let agreed = Agreed { resp3: true, tracking: tracked };
                assert_eq!(handshake.receive(reply), Ok(Progress::Done(agreed)));
            }
        }
        let login = Login { tracking: Tracking::OptIn, resp2: true, ..Login::default() };
        let (mut handshake, _) = Handshake::begin(login);
        let agreed = Agreed { resp3: false, tracking: false };
        assert_eq!(handshake.receive(ok()), Ok(Progress::Done(agreed)));
    }

    #[test]
    fn older_server_falls_back_to_auth() {
        for refusal in [
            "ERR unknown command `HELLO`",
            "NOPROTO unsupported protocol version",
            "ERR unsupported command `HELLO`",
            "ERR Unknown Redis command",
            "NOPERM this user has no permissions to run the 'hello' command",
        ] {
            let (mut handshake, _) = Handshake::begin(login());
            let auth = commands(&["AUTH app secret", "CLIENT SETNAME web", "PING"]);
            assert_eq!(handshake.receive(failed(refusal)), Ok(Progress::Send(auth)));
            assert_eq!(handshake.receive(ok()), Ok(Progress::Wait));
            assert_eq!(handshake.receive(failed("ERR unknown command")), Ok(Progress::Wait));
            assert_eq!(handshake.receive(ok()), Ok(settings()));
        }
        let (mut handshake, first) = Handshake::begin(Login { resp2: true, ..Login::default() });
        assert_eq!(first, commands(&["PING"]));
        assert_eq!(handshake.receive(ok()), Ok(Progress::Done(Agreed { resp3: false, ..RESP3 })));
    }

    #[test]
    fn refused_login_is_an_error() {
        let refused = |replies: &[Value]| {
            let (mut handshake, _) = Handshake::begin(login());
            replies.iter().find_map(|reply| handshake.receive(reply.clone()).err())
        };
        let wrong = refused(&[failed("WRONGPASS invalid username-password pair")]);
        assert_eq!(wrong.unwrap().code(), b"WRONGPASS");
        let unknown = failed("ERR unknown command");
        let wrong = refused(&[unknown.clone(), failed("ERR invalid password")]);
        assert_eq!(wrong.unwrap().detail(), b"invalid password");
        let full = refused(&[failed("ERR max number of clients reached")]);
        assert!(full.unwrap().detail().starts_with(b"max number"));
        assert!(refused(&[unknown, ok(), failed("ERR"), failed("NOAUTH")]).is_some());
        assert!(refused(&[ok(), failed("ERR DB index is out of range")]).is_some());
        assert!(refused(&[ok(), ok(), failed("ERR"), failed("ERR")]).is_none());
    }

    #[test]
    fn password_is_not_shown() {
        let (handshake, _) = Handshake::begin(login());
        assert!(!format!("{handshake:?}").contains("secret"));
    }
}
