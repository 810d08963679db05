//! One connection to a server, shared by all callers.

mod answer;
mod driver;
mod input;
mod request;
mod session;
mod traffic;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use hotshelf_core::{Error, ErrorKind, Moment, Runtime};
use hotshelf_wire::resp::{Command, Value};

pub use driver::ByteStream;
pub(crate) use request::{Manner, Request};
pub use session::Session;
pub use traffic::Rest;
use traffic::Traffic;

/// After so many timeouts in a row a connection is given up: the server behind it may be
/// gone without a word. Requests that were under way together count as one, or a hiccup
/// of a busy moment would cost the connection.
const TIMEOUTS_IN_A_ROW: u32 = 3;

/// A connection as its callers see it; a cheap handle.
#[derive(Clone)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
}

struct Shared {
    traffic: Traffic,
    runtime: Arc<dyn Runtime>,
    listener: Arc<dyn Listener>,
    has_answered: AtomicBool,
    timeouts_in_a_row: AtomicU32,
}

/// Hears what a server says of its own accord, between the replies where it came.
pub(crate) trait Listener: Send + Sync {
    /// Takes a push.
    fn heard(&self, push: Vec<Value>);

    /// Takes a value that nobody has asked for, and says whether it is understood.
    fn unasked(&self, value: Value) -> bool {
        drop(value);
        false
    }

    /// Takes note that the connection has ended: what was to be heard on it is lost.
    fn ended(&self);
}

/// Why a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The other side, or the network, has closed it.
    Cut,
    /// The server has stopped answering.
    Silent,
    /// The server speaks another language, or out of turn.
    Garbled,
    /// Another server is the one to talk to now.
    Replaced,
    /// We have closed it.
    Closed,
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Cut => "the connection was cut",
            Self::Silent => "the server stopped answering",
            Self::Garbled => "what answers there is not understood: is it Redis or Valkey?",
            Self::Replaced => "another server is the primary now",
            Self::Closed => "the store was closed",
        })
    }
}

impl From<Ended> for Error {
    /// Nothing was sent, so that nothing is unknown.
    fn from(why: Ended) -> Self {
        let kind = match why {
            Ended::Garbled => ErrorKind::Protocol,
            Ended::Closed => ErrorKind::Closed,
            Ended::Cut | Ended::Silent | Ended::Replaced => ErrorKind::Unavailable,
        };
        Self::new(kind, why.to_string())
    }
}

impl Connection {
    /// Says whether it is the same connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn new(runtime: Arc<dyn Runtime>, listener: Arc<dyn Listener>) -> Self {
        let shared = Shared {
            traffic: Traffic::new(),
            runtime,
            listener,
            has_answered: AtomicBool::new(false),
            timeouts_in_a_row: AtomicU32::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Gives the other side of the connection, for a driver. There is one.
    pub(crate) fn session(&self) -> Session {
        Session::new(self.clone())
    }

    /// From now on the server is told which reads it has to remember.
    pub(crate) fn opt_in(&self) {
        self.shared.traffic.opt_in();
    }

    /// Sends one command and gives its reply.
    pub(crate) async fn ask(
        &self,
        request: &Request,
        manner: Manner,
        deadline: Moment,
    ) -> Result<Value, Error> {
        self.shared.traffic.send(request, manner, deadline)?.await
    }

    /// Sends commands at once and gives their replies in order.
    pub(crate) async fn ask_all<'a>(
        &self,
        requests: impl ExactSizeIterator<Item = &'a Request>,
        manner: Manner,
        deadline: Moment,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let answers = self.shared.traffic.send_all(requests, manner, deadline)?;
        let mut values = Vec::with_capacity(answers.len());
        for answer in answers {
            values.push(answer.await);
        }
        Ok(values)
    }

    /// Sends a command that is not answered: a subscription.
    pub(crate) fn tell(&self, command: &Command) -> Result<(), Error> {
        self.shared.traffic.tell(command)
    }

    /// Takes note that the server was introduced to us: what it answers from here on counts.
    pub(crate) fn introduced(&self) {
        self.shared.has_answered.store(false, Ordering::Relaxed);
    }

    /// Says whether the server has answered anything but the introduction.
    pub(crate) fn has_answered(&self) -> bool {
        self.shared.has_answered.load(Ordering::Relaxed)
    }

    /// Gives the connection up: those who wait are told, and the driver ends.
    pub(crate) fn give_up(&self, why: Ended) {
        self.shared.traffic.end(why);
    }

    /// Takes no more commands, and ends once those that were sent are answered.
    pub(crate) fn close(&self) {
        self.shared.traffic.close();
    }

    /// Says why the connection has ended, if it has.
    pub(crate) fn ended(&self) -> Option<Ended> {
        self.shared.traffic.ended()
    }
}

impl Shared {
    fn answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
        self.timeouts_in_a_row.store(0, Ordering::Relaxed);
    }

    fn timed_out(&self) {
        if self.timeouts_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= TIMEOUTS_IN_A_ROW {
            self.traffic.end(Ended::Silent);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").field("ended", &self.ended()).finish_non_exhaustive()
    }
}
