//! The network between a process and the server.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hotshelf_core::backend::{Result, TagVersion};
use hotshelf_core::near::NearTier;
use hotshelf_core::sync::Mutex;
use hotshelf_core::tag::random_version;
use hotshelf_core::{Error, ErrorKind, Moment, Runtime};

use super::connection::{Connection, ConnectionId, Message, TICK};
use super::driver::{drive, keep_pinging};
use super::overlaps::{Overlap, Overlaps};
use super::process::SimProcess;
use super::reply::Reply;
use super::reports::{BrokenReports, Reports};
use super::runtime::SimRuntime;
use super::server::SimServer;

/// The settings of a network.
///
/// Without faults, requests of one connection are executed and answered in the order in which
/// they were sent; those of different connections in any order.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// The number of connections of each process.
    pub connections: u64,
    /// The maximum delay of a request or an answer; most take far less.
    pub longest_delay: Duration,
    /// Faulty requests per thousand: they or their answers are lost, or they are executed only
    /// after the caller has timed out, or their connection breaks.
    pub failing: u64,
    /// Requests executed twice, per thousand of those that may be repeated.
    pub repeated: u64,
    /// The same for captures, which must not be repeated: the version of a repeated capture
    /// would come back after its tag was invalidated. For mutants only.
    pub repeated_captures: u64,
    /// Whether the server pushes changes. Pushes are lost as often as requests are faulty.
    pub pushes: bool,
    /// The maximum time between the timeout of a caller and the execution of its late request.
    pub latest: Duration,
    /// Whether a timeout takes precedence over an answer that has arrived. For mutants only.
    pub expires_first: bool,
    /// The rule of the near tier that is broken. For mutants only.
    pub broken_reports: Option<BrokenReports>,
}

impl Network {
    /// Returns a network without faults: one connection per process, with delays of up to 40
    /// ms.
    #[must_use]
    pub fn calm() -> Self {
        Self {
            connections: 1,
            longest_delay: Duration::from_millis(40),
            failing: 0,
            repeated: 0,
            repeated_captures: 0,
            pushes: false,
            latest: Duration::ZERO,
            expires_first: false,
            broken_reports: None,
        }
    }
}

/// The operations that the network distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    Acquire,
    Take,
    Store,
    Release,
    Renew,
    Capture,
    Invalidate,
    Other,
}

impl Operation {
    /// Returns the timeout of its caller, as in the options of the Redis backend.
    fn timeout(self) -> Duration {
        match self {
            Self::Read | Self::Acquire | Self::Renew | Self::Capture | Self::Other => {
                Duration::from_millis(100)
            }
            Self::Take | Self::Store | Self::Release | Self::Invalidate => {
                Duration::from_millis(250)
            }
        }
    }

    fn overlap_when_late(self) -> Option<Overlap> {
        match self {
            Self::Acquire => Some(Overlap::LateAcquire),
            Self::Take => Some(Overlap::LateTake),
            Self::Store => Some(Overlap::LateStore),
            Self::Release => Some(Overlap::LateRelease),
            Self::Renew => Some(Overlap::LateRenewal),
            Self::Invalidate => Some(Overlap::LateInvalidation),
            Self::Read | Self::Capture | Self::Other => None,
        }
    }
}

/// The outcome of one request.
enum Outcome {
    Answered,
    Lost,
    AnswerLost,
    /// Executed only after the caller has timed out: it waited in a buffer of the connection.
    Late,
    /// The connection breaks, before or after the request is executed.
    Broken,
}

/// The sender of a request, and whether it has timed out in the meantime.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender {
    pub(super) process: usize,
    pub(super) late: bool,
}

/// The connections of a process.
pub(super) struct Wire {
    process: usize,
    runtime: SimRuntime,
    server: SimServer,
    overlaps: Arc<Overlaps>,
    network: Network,
    connections: Vec<Mutex<Arc<Connection>>>,
    driver: SimProcess,
    /// By how much the process takes the server's clock to be ahead of what it shows.
    misread: OnceLock<Duration>,
}

impl Wire {
    pub(super) fn new(
        process: &SimProcess,
        server: &SimServer,
        network: Network,
        overlaps: &Arc<Overlaps>,
    ) -> Self {
        let (number, runtime) = (process.number(), process.world());
        let connect = |index| {
            let id = [number, index, 0];
            Mutex::new(Arc::new(Connection::new(id, runtime, network.longest_delay, None)))
        };
        Self {
            process: number,
            runtime: runtime.clone(),
            server: server.clone(),
            overlaps: Arc::clone(overlaps),
            network,
            connections: (0..network.connections as usize).map(connect).collect(),
            driver: process.clone(),
            misread: OnceLock::new(),
        }
    }

    /// Reports changes to a near tier: all connections are opened again.
    pub(super) fn report_to(self: &Arc<Self>, near: &Arc<NearTier>) {
        for index in 0..self.connections.len() {
            let reports = Reports {
                near: Arc::clone(near),
                source: near.source(),
                broken: self.network.broken_reports,
                overlaps: Arc::clone(&self.overlaps),
            };
            *self.connections[index].lock() = self.connect([self.process, index, 0], reports);
            self.driver.spawn(Box::pin(keep_pinging(Arc::clone(self), index, Arc::clone(near))));
        }
    }

    /// Opens a connection that reports changes, and drives it.
    fn connect(&self, id: ConnectionId, reports: Reports) -> Arc<Connection> {
        let (runtime, longest_delay) = (&self.runtime, self.network.longest_delay);
        let connection = Arc::new(Connection::new(id, runtime, longest_delay, Some(reports)));
        self.driver.spawn(Box::pin(drive(Arc::clone(&connection))));
        connection
    }

    /// Returns a connection, which replaces a lost one.
    pub(super) fn connection(&self, index: usize) -> Arc<Connection> {
        let mut connection = self.connections[index].lock();
        if let Some(reports) = connection.reports().filter(|_| connection.is_lost()) {
            let [process, index, replaced] = connection.id;
            *connection = self.connect([process, index, replaced + 1], reports.replaced());
        }
        Arc::clone(&connection)
    }

    /// Returns the connection of the next request.
    pub(super) fn pick(&self) -> Arc<Connection> {
        self.connection(self.runtime.below(self.network.connections) as usize)
    }

    pub(super) fn process(&self) -> usize {
        self.process
    }

    /// Returns an estimate of the server's clock in milliseconds: wrong by up to the longest
    /// delay, in either direction.
    pub(super) fn clock(&self) -> u64 {
        let longest = self.network.longest_delay;
        let misread = self.misread.get_or_init(|| self.runtime.up_to(2 * longest));
        let (ahead, behind) = (misread.as_millis() as u64, longest.as_millis() as u64);
        (self.server.peek_millis() + ahead).saturating_sub(behind)
    }

    /// Returns a random version for a tag without one.
    pub(super) fn new_version(&self) -> TagVersion {
        random_version(&self.runtime)
    }

    /// Sends a request and waits for its answer. The request is delivered even if the caller
    /// is cancelled or its process crashes.
    pub(super) async fn exchange<T: Send + 'static>(
        self: &Arc<Self>,
        operation: Operation,
        execute: impl Fn(&SimServer, Sender) -> T + Send + Sync + 'static,
    ) -> Result<T> {
        self.exchange_over(&self.pick(), operation, execute).await
    }

    /// Sends a request over a connection.
    pub(super) async fn exchange_over<T: Send + 'static>(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        operation: Operation,
        execute: impl Fn(&SimServer, Sender) -> T + Send + Sync + 'static,
    ) -> Result<T> {
        let reply = Reply::new();
        // Outcome and arrival are determined in the order of sending.
        let (outcome, arrival) = (self.outcome(), connection.arrival(|order| &mut order.request));
        let request = Request {
            wire: Arc::clone(self),
            connection: Arc::clone(connection),
            operation,
            execute,
            reply: reply.clone(),
        };
        // From here on it runs in the simulated world, independent of the process.
        self.runtime.spawn(Box::pin(request.complete(outcome, arrival)));
        let timer = self.runtime.sleep(operation.timeout());
        let answer = match self.network.expires_first {
            true => reply.unless(timer).await,
            false => reply.until(timer, || connection.drain()).await,
        };
        match answer {
            Some(answer) => answer,
            None => Err(Error::new(ErrorKind::Timeout, "the server did not answer in time")),
        }
    }

    fn outcome(&self) -> Outcome {
        if self.runtime.below(1000) >= self.network.failing {
            return Outcome::Answered;
        }
        match self.runtime.below(8) {
            0 => Outcome::Lost,
            1 | 2 => Outcome::AnswerLost,
            3 => Outcome::Broken,
            _ => Outcome::Late,
        }
    }

    /// Silences a random connection for a time. Then it works again, or is lost.
    pub(super) fn silence(self: &Arc<Self>, duration: Duration, is_lost: bool) {
        let connection = self.pick();
        connection.silence(self.runtime.now() + duration);
        if is_lost {
            let (overlaps, end) = (Arc::clone(&self.overlaps), self.runtime.sleep(duration));
            self.runtime.spawn(Box::pin(async move {
                end.await;
                if !duration.is_zero() {
                    overlaps.count(Overlap::LostUnnoticed);
                }
                connection.lose();
            }));
        }
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        self.runtime.sleep(duration).await;
    }

    async fn sleep_until(&self, moment: Moment) {
        self.runtime.sleep(moment.since(self.runtime.now())).await;
    }
}

/// A request in flight.
struct Request<T, F> {
    wire: Arc<Wire>,
    connection: Arc<Connection>,
    operation: Operation,
    execute: F,
    reply: Reply<Result<T>>,
}

impl<T: Send + 'static, F: Fn(&SimServer, Sender) -> T> Request<T, F> {
    async fn complete(self, outcome: Outcome, arrival: Moment) {
        let wire = &self.wire;
        match outcome {
            Outcome::Answered => {
                wire.sleep_until(arrival).await;
                let answer = self.execute(false);
                let arrival = self.connection.arrival(|order| &mut order.answer);
                wire.sleep_until(arrival).await;
                let reply = self.reply.clone();
                self.connection.deliver(Message::Reply(Box::new(move || reply.put(Ok(answer)))));
                self.repeat().await;
            }
            Outcome::Lost => wire.overlaps.count(Overlap::RequestLost),
            Outcome::AnswerLost => {
                wire.sleep_until(arrival).await;
                self.execute(false);
                wire.overlaps.count(Overlap::AnswerLost);
            }
            Outcome::Late => {
                wire.runtime.sleep(self.operation.timeout()).await;
                self.execute_late().await;
            }
            Outcome::Broken => {
                wire.sleep_until(arrival).await;
                let message = "the connection broke";
                self.reply.put(Err(Error::new(ErrorKind::Unavailable, message)));
                wire.overlaps.count(Overlap::LinkBroken);
                self.connection.lose();
                if wire.runtime.below(2) == 0 {
                    self.execute_late().await;
                }
            }
        }
    }

    async fn execute_late(&self) {
        self.wire.runtime.sleep(TICK + self.wire.runtime.up_to(self.wire.network.latest)).await;
        self.execute(true);
        if let Some(overlap) = self.operation.overlap_when_late() {
            self.wire.overlaps.count(overlap);
        }
    }

    async fn repeat(&self) {
        let share = match self.operation {
            Operation::Acquire | Operation::Take => 0,
            Operation::Capture => self.wire.network.repeated_captures,
            _ => self.wire.network.repeated,
        };
        if self.wire.runtime.below(1000) < share {
            self.wire.runtime.sleep(self.wire.runtime.up_to(self.wire.network.latest)).await;
            self.execute(true);
            self.wire.overlaps.count(Overlap::Repeated);
        }
    }

    fn execute(&self, late: bool) -> T {
        (self.execute)(&self.wire.server, Sender { process: self.wire.process, late })
    }
}
