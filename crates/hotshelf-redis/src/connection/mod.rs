//! One connection to a server, shared by all callers.

mod driver;
mod open;
mod traffic;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use hotshelf_core::{Error, Moment, Runtime};
use hotshelf_wire::resp::{Command, Value};

pub(crate) use driver::Driver;
pub(crate) use open::Target;
pub(crate) use traffic::Ended;
use traffic::Traffic;

/// After so many timeouts in a row a connection is given up: the server behind it may be
/// gone without a word. Requests that were under way together count as one, or a hiccup
/// of a busy moment would cost the connection.
const TIMEOUTS_IN_A_ROW: u32 = 3;

/// A connection; a cheap handle.
#[derive(Clone)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
}

struct Shared {
    traffic: Traffic,
    runtime: Arc<dyn Runtime>,
    has_answered: AtomicBool,
    timeouts_in_a_row: AtomicU32,
    /// When the last of these timeouts was counted.
    counted: Mutex<Option<Moment>>,
}

impl Connection {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        let shared = Shared {
            traffic: Traffic::new(),
            runtime,
            has_answered: AtomicBool::new(false),
            timeouts_in_a_row: AtomicU32::new(0),
            counted: Mutex::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Sends one command and gives its reply.
    pub(crate) async fn ask(&self, command: &Command, deadline: Moment) -> Result<Value, Error> {
        let sent = self.shared.runtime.now();
        let answer = self.shared.traffic.send(command, deadline)?;
        self.note(answer.await.unwrap_or_else(|_| Err(traffic::lost())), sent)
    }

    /// Sends commands at once and gives their replies in order.
    pub(crate) async fn ask_all(
        &self,
        commands: &[Command],
        deadline: Moment,
    ) -> Result<Vec<Value>, Error> {
        let sent = self.shared.runtime.now();
        let answers = self.shared.traffic.send_all(commands, deadline)?;
        let mut values = Vec::with_capacity(answers.len());
        for answer in answers {
            let answer = answer.await.unwrap_or_else(|_| Err(traffic::lost()));
            values.push(self.note(answer, sent)?);
        }
        Ok(values)
    }

    /// Says whether the server has answered anything on this connection.
    pub(crate) fn has_answered(&self) -> bool {
        self.shared.has_answered.load(Ordering::Relaxed)
    }

    /// Gives the connection up: those who wait are told, and the driver ends.
    pub(crate) fn give_up(&self, why: Ended) {
        self.shared.traffic.end(why);
    }

    /// Says why the connection has ended, if it has.
    pub(crate) fn ended(&self) -> Option<Ended> {
        self.shared.traffic.ended()
    }

    /// Takes note of how a request that was sent at `sent` has ended.
    fn note(&self, answer: Result<Value, Error>, sent: Moment) -> Result<Value, Error> {
        match &answer {
            Ok(_) => {
                self.shared.has_answered.store(true, Ordering::Relaxed);
                self.shared.timeouts_in_a_row.store(0, Ordering::Relaxed);
            }
            Err(error) if error.is_timeout() => self.timed_out(sent),
            Err(_) => {}
        }
        answer
    }

    fn timed_out(&self, sent: Moment) {
        let mut counted = self.shared.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.is_some_and(|counted| sent < counted) {
            return;
        }
        *counted = Some(self.shared.runtime.now());
        drop(counted);
        if self.shared.timeouts_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= TIMEOUTS_IN_A_ROW {
            self.give_up(Ended::Silent);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").field("ended", &self.ended()).finish_non_exhaustive()
    }
}
