//! The callers' side of a connection.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hotshelf_core::near::Source;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{Error, Runtime};
use hotshelf_wire::resp::{Command, ServerError, Value};

use super::close_reason::CloseReason;
use super::listener::Listener;
use super::request::{Request, Routing};
use super::traffic::Traffic;

/// The number of timeouts in a row, without a byte received in between, after which a connection
/// is closed: the server may have disappeared. Requests that were in flight together count as
/// one, so that a single stall doesn't close the connection.
const TIMEOUTS_IN_A_ROW: u32 = 3;

/// The callers' side of a connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) traffic: Traffic,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) listener: Arc<dyn Listener>,
    /// What the near tier knows of the connection, if the server reports changes on it.
    source: OnceLock<Arc<Source>>,
    is_established: AtomicBool,
    has_answered: AtomicBool,
    timeouts_in_a_row: AtomicU32,
    /// Changes whenever bytes are received.
    heard: AtomicU32,
    /// The error that the server sent of its own accord.
    last_words: Mutex<Option<ServerError>>,
}

impl Connection {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, listener: Arc<dyn Listener>) -> Self {
        let shared = Shared {
            traffic: Traffic::new(),
            runtime,
            listener,
            source: OnceLock::new(),
            is_established: AtomicBool::new(false),
            has_answered: AtomicBool::new(false),
            timeouts_in_a_row: AtomicU32::new(0),
            heard: AtomicU32::new(0),
            last_words: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns `true` if both are handles of the same connection.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Sends tracked requests with `CLIENT CACHING` from now on.
    pub(crate) fn opt_in(&self) {
        self.shared.traffic.opt_in();
    }

    /// Queues one command, and returns the future of its reply.
    ///
    /// # Errors
    /// If the connection is closed: the command is not sent.
    pub(crate) fn send(
        &self,
        request: &Request,
        routing: Routing,
        timeout: Duration,
    ) -> Result<impl Future<Output = Result<Value, Error>> + use<>, Error> {
        self.note_source(request, routing);
        self.shared.traffic.send(request, routing, timeout)
    }

    /// Notes, before a read for the near tier is sent, over which connection it goes.
    fn note_source(&self, request: &Request, routing: Routing) {
        if let Some(cell) = &request.source {
            // A read after `ASKING` is not tracked.
            let source = self.shared.source.get().filter(|_| routing == Routing::Owner);
            cell.set(source.map(Source::before));
        }
    }

    /// Lets the near tier admit what is read over the connection.
    pub(crate) fn vouch(&self, source: Arc<Source>) {
        // It is set once, before the connection is used.
        let _ = self.shared.source.set(source);
    }

    /// Returns what the near tier knows of the connection.
    pub(crate) fn source(&self) -> Option<&Arc<Source>> {
        self.shared.source.get()
    }

    /// Queues commands together, and returns the future of their replies in order.
    ///
    /// # Errors
    /// If the connection is closed: none of the commands is sent.
    pub(crate) fn send_all<'a, I: ExactSizeIterator<Item = &'a Request> + Clone>(
        &self,
        requests: I,
        routing: Routing,
        timeout: Duration,
    ) -> Result<impl Future<Output = Vec<Result<Value, Error>>> + use<'a, I>, Error> {
        requests.clone().for_each(|request| self.note_source(request, routing));
        let receivers = self.shared.traffic.send_all(requests, routing, timeout)?;
        Ok(async {
            let mut replies = Vec::with_capacity(receivers.len());
            for receiver in receivers {
                replies.push(receiver.await);
            }
            replies
        })
    }

    /// Sends a command without a reply: a subscription.
    pub(crate) fn send_without_reply(&self, command: &Command) -> Result<(), Error> {
        self.shared.traffic.send_without_reply(command)
    }

    /// Records that the connection is the one to use. Those that were given up before share its
    /// listener, which isn't told of their ends.
    pub(crate) fn established(&self) {
        self.shared.is_established.store(true, Ordering::Relaxed);
    }

    /// Records the end of the handshake: [`Self::has_answered`] ignores earlier replies.
    pub(crate) fn handshake_completed(&self) {
        self.shared.has_answered.store(false, Ordering::Relaxed);
    }

    /// Returns `true` if the server has replied since the handshake.
    pub(crate) fn has_answered(&self) -> bool {
        self.shared.has_answered.load(Ordering::Relaxed)
    }

    /// Returns a number that changes whenever bytes are received.
    pub(crate) fn heard(&self) -> u32 {
        self.shared.heard.load(Ordering::Relaxed)
    }

    /// Returns the error that the server sent although no command was in flight: why it closes
    /// the connection.
    pub(crate) fn last_words(&self) -> Option<ServerError> {
        self.shared.last_words.lock().clone()
    }

    /// Closes the connection at once: commands in flight fail, and the driver ends.
    pub(crate) fn abort(&self, reason: CloseReason) {
        self.shared.end_source();
        self.shared.traffic.abort(reason);
    }

    /// Refuses further commands, and closes the connection once the queued ones are answered.
    pub(crate) fn close(&self) {
        self.shared.end_source();
        self.shared.traffic.close();
    }

    /// Returns `true` if nothing was in flight when the connection was closed.
    pub(crate) fn closed_idle(&self) -> bool {
        self.shared.traffic.closed_idle()
    }

    /// Returns the reason, if the connection was closed.
    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.shared.traffic.closed()
    }
}

impl Shared {
    /// Ends the near tier's entries that were read over the connection.
    pub(super) fn end_source(&self) {
        self.source.get().into_iter().for_each(|source| source.end());
    }

    /// Tells the listener that the connection has ended.
    pub(super) fn notify_end(&self) {
        if self.is_established.load(Ordering::Relaxed) {
            self.listener.on_close();
        }
    }

    pub(super) fn answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    pub(super) fn note_last_words(&self, error: &ServerError) {
        *self.last_words.lock() = Some(error.clone());
    }

    /// Notes that bytes were received. A part of a large reply is a sign of life, too.
    pub(super) fn heard(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        self.timeouts_in_a_row.store(0, Ordering::Relaxed);
    }

    pub(super) fn timed_out(&self) {
        if self.timeouts_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= TIMEOUTS_IN_A_ROW {
            self.end_source();
            self.traffic.abort(CloseReason::Unresponsive);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Connection");
        debug.field("closed", &self.closed()).finish_non_exhaustive()
    }
}
