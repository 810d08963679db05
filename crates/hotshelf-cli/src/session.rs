//! One command on one server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::ByteStore;
use hotshelf_redis::{RedisClient, RedisOptions, Reply, Scan};
use serde::Serialize;

use crate::arguments::Common;
use crate::failure::{DONE, Failure};
use crate::host::Host;
use crate::names;
use crate::output::Style;
use crate::server_info::ServerInfo;
use crate::terminal::{Stream, Terminal};

/// The server that is used without `--url` and `REDIS_URL`.
const DEFAULT_URL: &str = "redis://127.0.0.1";

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

    /// Sends a command, and returns its reply.
    pub(crate) async fn command<A: AsRef<[u8]>>(&self, command: &[A]) -> Result<Reply, Failure> {
        Ok(self.redis.command(command).await?)
    }

    /// Reads `INFO` of each primary.
    pub(crate) async fn info(&self) -> Result<ServerInfo, Failure> {
        ServerInfo::read(&self.redis).await
    }

    /// Returns the server's clock, in milliseconds since the Unix epoch.
    pub(crate) async fn time(&self) -> Result<u64, Failure> {
        let parts = self.command(&["TIME"]).await?.array()?;
        let parts = parts.into_iter().map(|part| {
            let text = part.bytes().ok().flatten()?;
            std::str::from_utf8(&text).ok()?.parse::<u64>().ok()
        });
        let parts: Vec<u64> = parts.flatten().collect();
        match parts[..] {
            [seconds, microseconds] => Ok(seconds * 1_000 + microseconds / 1_000),
            _ => Ok(0),
        }
    }

    /// Begins a scan of the keys that match a pattern, with progress on the error output.
    pub(crate) async fn scan(&self, pattern: &str) -> Result<KeyScan<'_>, Failure> {
        let sizes = self.redis.command_on_each(&["DBSIZE"]).await?;
        let sizes: Result<Vec<u64>, _> = sizes.into_iter().map(Reply::count).collect();
        Ok(KeyScan {
            scan: self.redis.scan(pattern),
            total: sizes?.iter().sum(),
            scanned: 0,
            progress: Progress::of(self),
        })
    }
}

/// A scan of keys.
pub(crate) struct KeyScan<'a> {
    scan: Scan,
    /// The number of all keys.
    pub(crate) total: u64,
    /// The number of keys that were found.
    pub(crate) scanned: u64,
    progress: Progress<'a>,
}

impl KeyScan<'_> {
    /// Returns further keys; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Bytes>>, Failure> {
        let keys = self.scan.next_keys().await?;
        if let Some(keys) = &keys {
            self.scanned += keys.len() as u64;
            let (scanned, total) = (self.scanned, self.total);
            self.progress.show(|| format!("{scanned} of {total} keys"));
        }
        Ok(keys)
    }
}

/// A line on the error output that is replaced, if a person looks at it.
struct Progress<'a> {
    terminal: &'a dyn Terminal,
    is_shown: bool,
    steps: u64,
}

/// The number of steps before and between changes of the line: short scans show none.
const STEPS: u64 = 50;

impl<'a> Progress<'a> {
    fn of(session: &'a Session) -> Self {
        let terminal = &*session.terminal;
        Self { terminal, is_shown: terminal.is_interactive(Stream::Error), steps: 0 }
    }

    fn show(&mut self, text: impl Fn() -> String) {
        self.steps += 1;
        if self.is_shown && self.steps.is_multiple_of(STEPS) {
            self.terminal.write_error(&format!("\r\x1b[K{}", text()));
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.is_shown && self.steps >= STEPS {
            self.terminal.write_error("\r\x1b[K");
        }
    }
}

fn json(value: &impl Serialize, is_pretty: bool) -> String {
    let written = match is_pretty {
        true => serde_json::to_string_pretty(value),
        false => serde_json::to_string(value),
    };
    written.expect("results have string keys") + "\n"
}
