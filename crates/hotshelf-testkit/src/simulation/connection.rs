//! One connection between a process and the server.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hotshelf_core::near::Sourced;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{Moment, Runtime, WireKey};

use super::reports::Reports;
use super::runtime::SimRuntime;

/// A connection. In each direction, messages arrive in the order in which they were sent.
///
/// With a near tier, the process handles replies and reports in that order, too, and only while
/// it runs.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    runtime: SimRuntime,
    longest_delay: Duration,
    order: Mutex<Order>,
    inbox: Mutex<Inbox>,
    reports: Option<Reports>,
}

/// The process, the number of its connection, and how often that was replaced before.
pub(super) type ConnectionId = [usize; 3];

/// The arrival times of the last request and the last answer.
#[derive(Default)]
pub(super) struct Order {
    pub(super) request: Moment,
    pub(super) answer: Moment,
}

/// What has arrived and was not handled yet.
#[derive(Default)]
struct Inbox {
    messages: VecDeque<Message>,
    is_lost: bool,
    waker: Option<Waker>,
}

pub(super) enum Message {
    /// Completes the request that it answers.
    Reply(Box<dyn FnOnce() + Send>),
    /// A key that was read over the connection has changed; all may have if it is `None`.
    Changed(Option<WireKey>),
    /// The process notices that the connection was lost.
    Lost,
}

/// Ensures a strict order.
pub(super) const TICK: Duration = Duration::from_nanos(1);

impl Connection {
    pub(super) fn new(
        id: ConnectionId,
        runtime: &SimRuntime,
        longest_delay: Duration,
        reports: Option<Reports>,
    ) -> Self {
        let (order, inbox) = (Mutex::default(), Mutex::default());
        Self { id, runtime: runtime.clone(), longest_delay, order, inbox, reports }
    }

    pub(super) fn reports(&self) -> Option<&Reports> {
        self.reports.as_ref()
    }

    /// Returns what the near tier keeps with what is read over the connection from now on.
    pub(super) fn before(&self) -> Option<Sourced> {
        self.reports.as_ref().map(|reports| reports.source.before())
    }

    /// Returns the arrival time of a message sent now: after all earlier ones.
    pub(super) fn arrival(&self, select: fn(&mut Order) -> &mut Moment) -> Moment {
        let delay = self.runtime.mostly_far_below(self.longest_delay);
        let mut order = self.order.lock();
        let last = select(&mut order);
        *last = (self.runtime.now() + delay).max(*last + TICK);
        *last
    }

    /// Delays all further messages, in both directions.
    pub(super) fn silence(&self, until: Moment) {
        let mut order = self.order.lock();
        order.request = order.request.max(until);
        order.answer = order.answer.max(until);
    }

    /// Sends the process a report of a change: of a key, or of all.
    pub(super) fn report(self: &Arc<Self>, key: Option<WireKey>) {
        let wait = self.arrival(|order| &mut order.answer).since(self.runtime.now());
        let (connection, arrival) = (Arc::clone(self), self.runtime.sleep(wait));
        self.runtime.spawn(Box::pin(async move {
            arrival.await;
            connection.deliver(Message::Changed(key));
        }));
    }

    /// Loses the connection: what has not arrived yet never does.
    pub(super) fn lose(&self) {
        self.deliver(Message::Lost);
        self.inbox.lock().is_lost = true;
    }

    pub(super) fn is_lost(&self) -> bool {
        self.inbox.lock().is_lost
    }

    pub(super) fn deliver(&self, message: Message) {
        if self.reports.is_none() {
            return self.handle(message);
        }
        let mut inbox = self.inbox.lock();
        if inbox.is_lost {
            return;
        }
        inbox.messages.push_back(message);
        let waker = inbox.waker.take();
        drop(inbox);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Handles what has arrived, in order.
    pub(super) fn drain(&self) {
        while let Some(message) = self.next() {
            self.handle(message);
        }
    }

    fn next(&self) -> Option<Message> {
        self.inbox.lock().messages.pop_front()
    }

    fn handle(&self, message: Message) {
        match (message, &self.reports) {
            (Message::Reply(complete), _) => complete(),
            (Message::Changed(Some(key)), Some(reports)) => reports.on_change(&key),
            (Message::Changed(None), Some(reports)) => reports.on_change_of_all(),
            (Message::Lost, Some(reports)) => reports.end(),
            (_, None) => {}
        }
    }

    /// Handles what arrives, until the connection is lost.
    pub(super) fn poll_driving(&self, context: &mut Context<'_>) -> Poll<()> {
        self.inbox.lock().waker = Some(context.waker().clone());
        self.drain();
        if self.is_lost() { Poll::Ready(()) } else { Poll::Pending }
    }
}
