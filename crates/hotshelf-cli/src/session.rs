//! One command on one server.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::{ByteStore, Error, ErrorKind};
use hotshelf_redis::{RedisClient, RedisOptions, Reply, is_connection_lost};
use serde::Serialize;

use crate::arguments::Common;
use crate::failure::{DONE, Failure, denies_key};
use crate::host::Host;
use crate::key_scan::KeyScan;
use crate::names;
use crate::output::{Style, counted};
use crate::server_info::ServerInfo;
use crate::terminal::Terminal;

/// The server that is used without `--url` and `REDIS_URL`.
const DEFAULT_URL: &str = "redis://127.0.0.1";

/// How often a command is repeated whose connection is lost.
const REPEATED: u32 = 3;

/// A connection, and where results go.
pub(crate) struct Session {
    pub(crate) store: ByteStore,
    pub(crate) redis: RedisClient,
    /// The URL, with its password.
    pub(crate) url: String,
    pub(crate) redis_options: RedisOptions,
    pub(crate) terminal: Arc<dyn Terminal>,
    pub(crate) style: Style,
    pub(crate) common: Common,
}

impl Session {
    /// Creates a session. It connects on first use.
    pub(crate) fn open(
        host: &dyn Host,
        terminal: Arc<dyn Terminal>,
        common: Common,
    ) -> Result<Self, Failure> {
        let variable = || terminal.variable("REDIS_URL").filter(|url| !url.is_empty());
        let url = common.url.clone().or_else(variable).unwrap_or_else(|| DEFAULT_URL.to_owned());
        let timeout = Duration::try_from_secs_f64(common.timeout).ok().filter(|it| !it.is_zero());
        let invalid = || Failure::Usage("invalid --timeout: use a positive number".to_owned());
        let timeout = timeout.ok_or_else(invalid)?;
        let redis_options = RedisOptions::from_url(&url)?
            .connect_timeout(timeout)
            .read_timeout(timeout)
            .store_timeout(timeout);
        redis_options.validate()?;
        let connection = host.connect(&redis_options)?;
        let (store, redis) = (connection.store, connection.redis);
        let style = Style::of(&*terminal);
        Ok(Self { store, redis, url, redis_options, terminal, style, common })
    }

    /// Writes a result: as JSON, or as text.
    pub(crate) fn show(
        &self,
        result: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<u8, Failure> {
        let text = match self.common.json {
            true => json(result, true),
            false => text(),
        };
        self.terminal.write(text.as_bytes())?;
        Ok(DONE)
    }

    /// Writes one line of a result that goes on.
    pub(crate) fn show_line(
        &self,
        result: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let text = match self.common.json {
            true => json(result, false),
            false => text(),
        };
        Ok(self.terminal.write(text.as_bytes())?)
    }

    /// Returns the bytes of a key in an argument.
    pub(crate) fn key(&self, argument: &str) -> Result<Vec<u8>, Failure> {
        names::key(argument, self.common.escaped)
    }

    /// Sends a command that may be executed twice, and returns its reply.
    pub(crate) async fn command<A: AsRef<[u8]>>(&self, command: &[A]) -> Result<Reply, Failure> {
        Ok(self.send(command).await?)
    }

    /// Sends a command that may be executed twice, and returns its reply or the server's error.
    ///
    /// Repeats it if the connection is lost: connections to a replica are closed again and again,
    /// since the address may lead to the primary by now.
    pub(crate) async fn send<A: AsRef<[u8]>>(&self, command: &[A]) -> Result<Reply, Error> {
        let send = || self.redis.command(command);
        repeated(send, |reply| matches!(reply, Err(error) if is_connection_lost(error))).await
    }

    /// Sends such a command to each primary, and returns the replies.
    pub(crate) async fn send_to_each(&self, command: &[&str]) -> Result<Vec<Reply>, Failure> {
        let send = || self.redis.command_on_each(command);
        Ok(repeated(send, |replies| matches!(replies, Err(error) if is_connection_lost(error)))
            .await?)
    }

    /// Sends several such commands in one round trip, and returns the replies.
    pub(crate) async fn pipeline<C, A>(&self, commands: &[C]) -> Result<Vec<Reply>, Failure>
    where
        C: AsRef<[A]>,
        A: AsRef<[u8]>,
    {
        let is_lost =
            |reply: &Reply| matches!(reply, Reply::Error(error) if is_connection_lost(error));
        let send = || self.redis.pipeline(commands);
        let replies = repeated(send, |replies| match replies {
            Ok(replies) => replies.iter().any(is_lost),
            Err(error) => is_connection_lost(error),
        });
        match replies.await {
            // That of each of them.
            Err(error) if denies_key(&error) => Ok(vec![Reply::Error(error); commands.len()]),
            replies => Ok(replies?),
        }
    }

    /// Writes to the error output how many keys were skipped, since the ACL denies them.
    pub(crate) fn show_skipped(&self, skipped: usize) {
        if skipped > 0 && !self.common.json {
            let keys = counted(skipped as u64, "key", "keys");
            self.terminal.write_error(&format!("skipped {keys}, which the ACL denies\n"));
        }
    }

    /// Reads `INFO` of each primary.
    pub(crate) async fn info(&self) -> Result<ServerInfo, Failure> {
        ServerInfo::read(self).await
    }

    /// Returns the server's clock, in milliseconds since the Unix epoch.
    pub(crate) async fn time(&self) -> Result<u64, Failure> {
        read_time(self.command(&["TIME"]).await?)
    }

    /// Returns the server's clock; `None` if the server or a proxy refuses `TIME`, some by closing
    /// the connection: nothing else should be asked for behind it.
    pub(crate) async fn time_if_known(&self) -> Result<Option<u64>, Failure> {
        match self.redis.command(&["TIME"]).await {
            Ok(reply) => Ok(Some(read_time(reply)?)),
            Err(error) if is_connection_lost(&error) => Ok(None),
            Err(error) => match error.kind() {
                ErrorKind::Permission | ErrorKind::Server => Ok(None),
                _ => Err(error.into()),
            },
        }
    }

    /// Begins a scan of the keys that match a pattern, with progress on the error output.
    pub(crate) async fn scan(&self, pattern: &str) -> Result<KeyScan<'_>, Failure> {
        KeyScan::begin(self, pattern).await
    }
}

/// Sends what may be executed twice, and sends it again while its connection is lost.
async fn repeated<T, F>(
    send: impl Fn() -> F,
    is_lost: impl Fn(&Result<T, Error>) -> bool,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut sent = send().await;
    for _ in 0..REPEATED {
        if !is_lost(&sent) {
            break;
        }
        sent = send().await;
    }
    sent
}

fn read_time(reply: Reply) -> Result<u64, Failure> {
    let parts = reply.array()?.into_iter().map(|part| {
        let text = part.bytes().ok().flatten()?;
        std::str::from_utf8(&text).ok()?.parse::<u64>().ok()
    });
    let parts: Vec<u64> = parts.flatten().collect();
    match parts[..] {
        [seconds, microseconds] => Ok(seconds * 1_000 + microseconds / 1_000),
        _ => Ok(0),
    }
}

fn json(value: &impl Serialize, is_pretty: bool) -> String {
    let written = match is_pretty {
        true => serde_json::to_string_pretty(value),
        false => serde_json::to_string(value),
    };
    written.expect("results have string keys") + "\n"
}
