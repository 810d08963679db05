//! What becomes of requests between a process and the server.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::backend::{Result, TagVersion};
use hotshelf_core::sync::Mutex;
use hotshelf_core::tag::random_version;
use hotshelf_core::{Error, ErrorKind, Moment, Runtime};

use super::overlaps::{Overlap, Overlaps};
use super::process::SimProcess;
use super::reply::Reply;
use super::runtime::SimRuntime;
use super::server::SimServer;

/// How a network treats requests.
///
/// Requests of one connection are executed and answered in the order in which they were
/// sent, if nothing goes wrong; those of different connections in any order.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// The connections that a process spreads its requests over.
    pub connections: u64,
    /// The longest that a request, or an answer, is on its way; most take far less.
    pub longest_delay: Duration,
    /// How many requests in a thousand go wrong: they are lost, or their answer is, or they
    /// are executed only when the caller has gone on, or their connection breaks.
    pub trouble: u64,
    /// How many in a thousand of those that may be repeated are executed twice.
    pub repeated: u64,
    /// The same for captures, which must not be repeated: the version that a capture brings
    /// along would come back after its tag was invalidated. For mutants only.
    pub repeated_captures: u64,
    /// Whether the server tells of changes. What it says is lost as often as requests have
    /// trouble.
    pub pushes: bool,
    /// How long after its caller has gone on a late request is executed at the latest.
    pub latest: Duration,
}

impl Network {
    /// One connection for each process, which delays by up to 40 ms and does no harm.
    #[must_use]
    pub fn calm() -> Self {
        Self {
            connections: 1,
            longest_delay: Duration::from_millis(40),
            trouble: 0,
            repeated: 0,
            repeated_captures: 0,
            pushes: false,
            latest: Duration::ZERO,
        }
    }
}

/// The operations that the network tells apart.
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
    /// How long its caller waits: what the options of the Redis backend say.
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

/// What becomes of one request.
enum Fate {
    Answered,
    Lost,
    AnswerLost,
    /// Executed once the caller has gone on: it waited in a buffer of the connection before.
    Late,
    /// The connection breaks, before the request is executed or after that.
    Broken,
}

/// Who has sent a request, and whether the sender has gone on meanwhile.
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
    connections: Vec<Mutex<Order>>,
}

/// When the last request of a connection arrived, and the last answer.
#[derive(Default)]
struct Order {
    request: Moment,
    answer: Moment,
}

/// Enough for one to be after the other.
const TICK: Duration = Duration::from_nanos(1);

impl Wire {
    pub(super) fn new(
        process: &SimProcess,
        server: &SimServer,
        network: Network,
        overlaps: &Arc<Overlaps>,
    ) -> Self {
        Self {
            process: process.number(),
            runtime: process.world().clone(),
            server: server.clone(),
            overlaps: Arc::clone(overlaps),
            network,
            connections: (0..network.connections).map(|_| Mutex::default()).collect(),
        }
    }

    pub(super) fn process(&self) -> usize {
        self.process
    }

    /// Draws a version for a tag that has none.
    pub(super) fn new_version(&self) -> TagVersion {
        random_version(&self.runtime)
    }

    /// Sends a request and waits for its answer. The request goes its way even if the
    /// caller, or its process, is gone by then.
    pub(super) async fn exchange<T: Send + 'static>(
        self: &Arc<Self>,
        operation: Operation,
        execute: impl Fn(&SimServer, Sender) -> T + Send + Sync + 'static,
    ) -> Result<T> {
        let connection = self.runtime.below(self.network.connections) as usize;
        let reply = Reply::new();
        // Fate and arrival are decided in the order of sending.
        let (fate, arrival) = (self.fate(), self.arrival(connection, |order| &mut order.request));
        let request = Request {
            wire: Arc::clone(self),
            connection,
            operation,
            execute,
            reply: reply.clone(),
        };
        // It is the world's from here on, not the process's.
        self.runtime.spawn(Box::pin(request.meet(fate, arrival)));
        match reply.until(self.runtime.sleep(operation.timeout())).await {
            Some(answer) => answer,
            None => Err(Error::new(ErrorKind::Timeout, "the server didn't answer in time")),
        }
    }

    fn fate(&self) -> Fate {
        if self.runtime.below(1000) >= self.network.trouble {
            return Fate::Answered;
        }
        match self.runtime.below(8) {
            0 => Fate::Lost,
            1 | 2 => Fate::AnswerLost,
            3 => Fate::Broken,
            _ => Fate::Late,
        }
    }

    /// Says when what is sent now arrives: after all that was sent before it on the same
    /// connection.
    fn arrival(&self, connection: usize, way: fn(&mut Order) -> &mut Moment) -> Moment {
        let delay = self.runtime.mostly_far_below(self.network.longest_delay);
        let mut order = self.connections[connection].lock();
        let last = way(&mut order);
        *last = (self.runtime.now() + delay).max(*last + TICK);
        *last
    }

    async fn sleep_until(&self, moment: Moment) {
        self.runtime.sleep(moment.since(self.runtime.now())).await;
    }
}

/// A request on its way.
struct Request<T, F> {
    wire: Arc<Wire>,
    connection: usize,
    operation: Operation,
    execute: F,
    reply: Reply<Result<T>>,
}

impl<T, F: Fn(&SimServer, Sender) -> T> Request<T, F> {
    async fn meet(self, fate: Fate, arrival: Moment) {
        let wire = &self.wire;
        match fate {
            Fate::Answered => {
                wire.sleep_until(arrival).await;
                let answer = self.execute(false);
                let arrival = wire.arrival(self.connection, |order| &mut order.answer);
                wire.sleep_until(arrival).await;
                self.reply.put(Ok(answer));
                self.repeat().await;
            }
            Fate::Lost => wire.overlaps.count(Overlap::RequestLost),
            Fate::AnswerLost => {
                wire.sleep_until(arrival).await;
                self.execute(false);
                wire.overlaps.count(Overlap::AnswerLost);
            }
            Fate::Late => {
                wire.runtime.sleep(self.operation.timeout()).await;
                self.execute_late().await;
            }
            Fate::Broken => {
                wire.sleep_until(arrival).await;
                let message = "the connection broke";
                self.reply.put(Err(Error::new(ErrorKind::Unavailable, message)));
                wire.overlaps.count(Overlap::LinkBroken);
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
