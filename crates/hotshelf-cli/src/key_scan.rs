//! A scan of the keys of all servers.

use bytes::Bytes;
use hotshelf_redis::{Reply, Scan, is_connection_lost};

use crate::failure::Failure;
use crate::session::Session;
use crate::terminal::{Stream, Terminal};

/// How often a scan begins anew whose connection is lost.
const RESTARTS: u32 = 10;

/// A scan of keys.
pub(crate) struct KeyScan<'a> {
    session: &'a Session,
    pattern: String,
    scan: Scan,
    /// The number of all keys.
    pub(crate) total: u64,
    /// The number of keys that were found.
    pub(crate) scanned: u64,
    restarts: u32,
    progress: Progress<'a>,
}

/// A step of a scan.
pub(crate) enum Step {
    /// Further keys.
    Keys(Vec<Bytes>),
    /// The connection was lost, and the scan begins anew: all keys are returned again.
    Restarted,
    End,
}

impl<'a> KeyScan<'a> {
    pub(crate) async fn begin(session: &'a Session, pattern: &str) -> Result<Self, Failure> {
        let sizes = session.send_to_each(&["DBSIZE"]).await?;
        let sizes: Result<Vec<u64>, _> = sizes.into_iter().map(Reply::count).collect();
        Ok(Self {
            session,
            pattern: pattern.to_owned(),
            scan: session.redis.scan(pattern),
            total: sizes?.iter().sum(),
            scanned: 0,
            restarts: 0,
            progress: Progress::of(session),
        })
    }

    pub(crate) async fn next(&mut self) -> Result<Step, Failure> {
        let keys = match self.scan.next_keys().await {
            Ok(Some(keys)) => keys,
            Ok(None) => return Ok(Step::End),
            Err(error) if is_connection_lost(&error) && self.restarts < RESTARTS => {
                self.restarts += 1;
                self.scan = self.session.redis.scan(&self.pattern);
                self.scanned = 0;
                return Ok(Step::Restarted);
            }
            Err(error) => return Err(error.into()),
        };
        self.scanned += keys.len() as u64;
        let (scanned, total) = (self.scanned, self.total);
        self.progress.show(|| format!("{scanned} of {total} keys"));
        Ok(Step::Keys(keys))
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
