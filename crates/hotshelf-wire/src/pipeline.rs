//! Commands in flight, matched with the replies that arrive in the same order.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Add;
use std::time::Duration;

use crate::resp::{Command, Expected, Value};

/// The traffic of one connection: bytes to send, and the waiters for the replies.
///
/// A server answers commands in the order in which they arrive: the n-th reply belongs to the
/// n-th command, and no reply carries a number. A command therefore keeps its position in the
/// queue even after its deadline has passed, and consumes its late reply.
///
/// # Timeouts
/// A timeout measures the server, not the process that sends the command. It begins when the
/// command's bytes were handed over to the kernel or, while the kernel accepts no bytes, when
/// the driver notices the command: see [`start_timeouts`](Self::start_timeouts). A driver
/// writes, then reads everything that has arrived, and only then [expires](Self::expire) what
/// is still unanswered. While the server sends anything, such as replies to other commands or
/// parts of a large one, a command is waited for up to [`GRACE`] longer.
///
/// `W` is the type of waiters, `T` that of instants.
pub struct Pipeline<W, T> {
    output: Vec<u8>,
    queue: VecDeque<Queued<W, T>>,
    /// The number of commands, at the end of the queue, whose bytes were not taken yet.
    unsent: usize,
    /// The number of commands, at the end of the queue, whose bytes were not handed over to the
    /// kernel as far as is known. At least [`Self::unsent`].
    unconfirmed: usize,
    /// The number of commands, at the end of the queue, whose timeout has not begun.
    untimed: usize,
    /// A lower bound of all deadlines.
    earliest: Option<T>,
    /// Whether anything was received since the last expiry.
    answering: bool,
    /// The number of expiries so far. Commands that were in flight together count as one.
    expiries: u32,
}

/// How much longer than its timeout a command is waited for while the server sends anything.
pub const GRACE: Duration = Duration::from_millis(250);

/// When a command in its grace period is looked at again.
const RECHECK: Duration = Duration::from_millis(25);

struct Queued<W, T> {
    /// `None` if the deadline has passed or the reply is ignored.
    waiter: Option<W>,
    timeout: Duration,
    /// `None` until the timeout has begun, and if the reply is ignored.
    deadline: Option<T>,
    /// The types of replies that it can have.
    expected: Expected,
    /// The value of [`Pipeline::expiries`] when the command was queued.
    expiries: u32,
}

/// A value received from a server, matched with the command that it answers.
#[derive(Debug, PartialEq)]
pub enum Event<W> {
    /// The reply to a command, and its waiter.
    Reply(W, Value),
    /// A reply without a waiter: the deadline has passed, or the reply is ignored.
    Late,
    /// The same, of an error.
    LateError,
    /// An out-of-band push. Pushes keep their position among the replies.
    Push(Vec<Value>),
    /// A reply that the command never has: from here on replies answer other commands.
    Mismatched(Option<W>),
    /// A reply while no command is in flight. Connections in subscriber mode receive
    /// messages (RESP2) and subscription errors this way. On any other connection the two
    /// sides are out of sync, and no later reply can be trusted.
    Unsolicited(Value),
}

impl<W, T: Copy + Ord + Add<Duration, Output = T>> Pipeline<W, T> {
    /// Creates the pipeline of a new connection.
    #[must_use]
    pub fn new() -> Self {
        Self {
            output: Vec::new(),
            queue: VecDeque::new(),
            unsent: 0,
            unconfirmed: 0,
            untimed: 0,
            earliest: None,
            answering: false,
            expiries: 0,
        }
    }

    /// Queues a command and the waiter for its reply.
    pub fn push(&mut self, command: &Command, waiter: W, timeout: Duration) {
        self.enqueue(command, Some(waiter), timeout);
    }

    /// Queues a command whose reply is ignored: a prefix of the next command.
    pub fn push_ignored(&mut self, command: &Command) {
        self.enqueue(command, None, Duration::ZERO);
    }

    /// Queues a command without a reply: a subscription.
    pub fn push_without_reply(&mut self, command: &Command) {
        command.write_to(&mut self.output);
    }

    fn enqueue(&mut self, command: &Command, waiter: Option<W>, timeout: Duration) {
        command.write_to(&mut self.output);
        let (expected, expiries) = (command.expected(), self.expiries);
        self.queue.push_back(Queued { waiter, timeout, deadline: None, expected, expiries });
        self.unsent += 1;
        self.unconfirmed += 1;
        self.untimed += 1;
    }

    /// Returns the number of outstanding replies, those without a waiter included.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.queue.len()
    }

    /// Returns `true` if replies to commands that were sent are outstanding.
    #[must_use]
    pub fn awaits_replies(&self) -> bool {
        self.queue.len() > self.unsent
    }

    /// Returns `true` if there are no waiters.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.iter().all(|queued| queued.waiter.is_none())
    }

    /// Returns `true` if there are bytes to send.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Returns the number of bytes to send.
    #[must_use]
    pub fn output_size(&self) -> usize {
        self.output.len()
    }

    /// Moves all bytes to send into an empty buffer.
    pub fn take_output(&mut self, buffer: &mut Vec<u8>) {
        debug_assert!(buffer.is_empty(), "unsent bytes would be sent out of order");
        std::mem::swap(&mut self.output, buffer);
        self.unsent = 0;
    }

    /// Returns `true` if there are commands whose timeout has not begun, or begins anew when
    /// their bytes were handed over to the kernel.
    #[must_use]
    pub fn has_untimed(&self, handed_over: bool) -> bool {
        self.untimed > 0 || (handed_over && self.unconfirmed > self.unsent)
    }

    /// Begins the timeouts of new commands. `handed_over` tells whether the kernel has accepted
    /// all bytes that were taken: then the timeouts of their commands begin anew.
    pub fn start_timeouts(&mut self, now: T, handed_over: bool) {
        if handed_over {
            self.start(self.unsent, self.unconfirmed, now);
            self.untimed = self.untimed.min(self.unsent);
            self.unconfirmed = self.unsent;
        }
        self.start(0, self.untimed, now);
        self.untimed = 0;
    }

    /// Begins the timeouts of the commands between two distances from the end of the queue.
    fn start(&mut self, from: usize, to: usize, now: T) {
        let length = self.queue.len();
        for queued in self.queue.range_mut(length - to..length - from) {
            if queued.waiter.is_none() {
                continue;
            }
            let deadline = now + queued.timeout;
            queued.deadline = Some(deadline);
            self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        }
    }

    /// Extends all timeouts that have begun: the process was too busy to read replies.
    pub fn postpone(&mut self, late: Duration) {
        for queued in &mut self.queue {
            queued.deadline = queued.deadline.map(|deadline| deadline + late);
        }
        self.earliest = self.earliest.map(|earliest| earliest + late);
    }

    /// Notes that bytes were received, whether or not they complete a reply.
    pub fn heard(&mut self) {
        self.answering = true;
    }

    /// Matches the next received value with its waiter.
    pub fn receive(&mut self, value: Value) -> Event<W> {
        let value = match value {
            Value::Attributed(_, value) => return self.receive(*value),
            Value::Push(push) => return Event::Push(push),
            value => value,
        };
        if !self.awaits_replies() {
            return Event::Unsolicited(value);
        }
        let Some(queued) = self.queue.pop_front() else { return Event::Unsolicited(value) };
        let length = self.queue.len();
        self.unconfirmed = self.unconfirmed.min(length);
        self.untimed = self.untimed.min(length);
        if length == 0 {
            self.earliest = None;
        }
        if !queued.expected.accepts(&value) {
            return Event::Mismatched(queued.waiter);
        }
        match (queued.waiter, value) {
            (Some(waiter), value) => Event::Reply(waiter, value),
            (None, Value::Error(_)) => Event::LateError,
            (None, _) => Event::Late,
        }
    }

    /// Returns an instant before which no deadline passes: when to call [`Pipeline::expire`] at
    /// the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<T> {
        self.earliest
    }

    /// Removes the waiters whose deadline has passed; their commands keep their positions.
    ///
    /// Returns `true` if that is evidence of another stall of the server: the command at the
    /// head of the queue is late itself, since the others wait for its reply, and one of them
    /// was queued after the previous stall, since commands that were in flight together are
    /// evidence of one stall, not of several.
    ///
    /// Visits every command in flight. A caller that waits for [`next_deadline`] first does so
    /// at most once per shortest timeout, not once per command.
    ///
    /// [`next_deadline`]: Self::next_deadline
    pub fn expire(&mut self, now: T, expired: &mut Vec<W>) -> bool {
        let (mut earliest, mut new_stall) = (None, false);
        let answering = std::mem::take(&mut self.answering);
        let head = self.queue.iter().find_map(|queued| queued.deadline);
        let is_head_late = head.is_some_and(|deadline| deadline <= now);
        for queued in &mut self.queue {
            let Some(deadline) = queued.deadline.filter(|_| queued.waiter.is_some()) else {
                continue;
            };
            let next = match (deadline <= now, answering && now < deadline + GRACE) {
                (false, _) => deadline,
                (true, true) => now + RECHECK,
                (true, false) => {
                    expired.extend(queued.waiter.take());
                    new_stall |= is_head_late && queued.expiries == self.expiries;
                    continue;
                }
            };
            earliest = Some(earliest.map_or(next, |earliest: T| earliest.min(next)));
        }
        self.earliest = earliest;
        self.expiries = self.expiries.wrapping_add(u32::from(new_stall));
        new_stall
    }

    /// Closes the pipeline of a lost connection and returns the remaining waiters.
    pub fn close(self) -> impl Iterator<Item = W> {
        self.queue.into_iter().filter_map(|queued| queued.waiter)
    }
}

impl<W, T: Copy + Ord + Add<Duration, Output = T>> Default for Pipeline<W, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<W, T> fmt::Debug for Pipeline<W, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Pipeline");
        debug.field("output", &self.output.len()).field("in_flight", &self.queue.len());
        debug.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A pipeline whose clock is at 0, with a command for each timeout.
    fn queued(timeouts: &[u64]) -> Pipeline<usize, Duration> {
        let mut pipeline = Pipeline::new();
        for (waiter, timeout) in timeouts.iter().enumerate() {
            pipeline.push(&Command::new("PING"), waiter, millis(*timeout));
        }
        pipeline
    }

    fn sent(timeouts: &[u64]) -> Pipeline<usize, Duration> {
        let mut pipeline = queued(timeouts);
        send(&mut pipeline, 0);
        pipeline
    }

    /// Hands all output over to the kernel.
    fn send(pipeline: &mut Pipeline<usize, Duration>, now: u64) {
        pipeline.take_output(&mut Vec::new());
        pipeline.start_timeouts(millis(now), true);
    }

    fn expired(pipeline: &mut Pipeline<usize, Duration>, now: u64) -> (bool, Vec<usize>) {
        let mut expired = Vec::new();
        (pipeline.expire(millis(now), &mut expired), expired)
    }

    #[test]
    fn queued_commands_are_sent_together() {
        let mut pipeline = queued(&[5, 5]);
        let mut sent = Vec::new();
        pipeline.take_output(&mut sent);
        assert_eq!(sent, b"*1\r\n$4\r\nPING\r\n".repeat(2));
        assert!(!pipeline.has_output());
        assert_eq!(pipeline.in_flight(), 2);
    }

    #[test]
    fn pushes_keep_their_position_among_replies() {
        let mut pipeline = sent(&[5, 5]);
        let push = vec![Value::Simple("a".into())];
        let attributed = Value::Attributed(vec![], Box::new(Value::Integer(1)));
        assert_eq!(pipeline.receive(Value::Integer(0)), Event::Reply(0, Value::Integer(0)));
        assert_eq!(pipeline.receive(Value::Push(push.clone())), Event::Push(push));
        assert_eq!(pipeline.receive(attributed), Event::Reply(1, Value::Integer(1)));
        assert_eq!(pipeline.next_deadline(), None);
        assert_eq!(pipeline.receive(Value::Nil), Event::Unsolicited(Value::Nil));
    }

    #[test]
    fn replies_of_other_commands_are_noticed() {
        let mut pipeline = Pipeline::new();
        let commands = [Command::new("GET").arg("k"), Command::new("TTL").arg("k")];
        commands.iter().zip(0..).for_each(|(command, n)| pipeline.push(command, n, millis(5)));
        pipeline.push(&commands[1].clone().queued(), 2, millis(5));
        send(&mut pipeline, 0);
        let queued = Value::Simple("QUEUED".into());
        assert_eq!(pipeline.receive(Value::Nil), Event::Reply(0, Value::Nil));
        assert_eq!(pipeline.receive(Value::Nil), Event::Mismatched(Some(1)));
        assert_eq!(pipeline.receive(queued.clone()), Event::Reply(2, queued));
    }

    #[test]
    fn only_subscriptions_expect_no_reply() {
        let mut pipeline = Pipeline::new();
        pipeline.push_ignored(&Command::new("ASKING"));
        assert!(pipeline.is_idle());
        pipeline.push(&Command::new("GET").arg("k"), 7, millis(5));
        pipeline.push_without_reply(&Command::new("SUBSCRIBE").arg("c"));
        assert_eq!(pipeline.in_flight(), 2);
        assert!(!pipeline.is_idle());
        send(&mut pipeline, 0);
        assert_eq!(pipeline.receive(Value::Nil), Event::Late);
        assert_eq!(pipeline.receive(Value::Nil), Event::Reply(7, Value::Nil));
        assert_eq!(pipeline.in_flight(), 0);
    }

    #[test]
    fn late_replies_are_dropped() {
        let mut pipeline = sent(&[10, 30, 20]);
        assert_eq!(pipeline.next_deadline(), Some(millis(10)));
        assert_eq!(expired(&mut pipeline, 9), (false, vec![]));
        assert_eq!(expired(&mut pipeline, 20), (true, vec![0, 2]));
        assert_eq!((pipeline.next_deadline(), pipeline.in_flight()), (Some(millis(30)), 3));

        let events: Vec<_> = (0..3).map(|_| pipeline.receive(Value::Nil)).collect();
        assert_eq!(events, [Event::Late, Event::Reply(1, Value::Nil), Event::Late]);
        assert_eq!(pipeline.in_flight(), 0);
    }

    #[test]
    fn timeout_begins_when_handed_over() {
        let mut pipeline = queued(&[10, 10]);
        assert_eq!(pipeline.next_deadline(), None, "the driver has not run yet");
        pipeline.take_output(&mut Vec::new());
        pipeline.start_timeouts(millis(100), false);
        pipeline.push(&Command::new("PING"), 2, millis(10));
        pipeline.start_timeouts(millis(105), true);
        assert_eq!(expired(&mut pipeline, 114), (false, vec![]));
        assert_eq!(expired(&mut pipeline, 115), (true, vec![0, 1, 2]));
    }

    #[test]
    fn commands_expire_although_nothing_can_be_sent() {
        let mut pipeline = queued(&[10]);
        pipeline.take_output(&mut Vec::new());
        pipeline.push(&Command::new("PING"), 1, millis(10));
        pipeline.start_timeouts(millis(0), false);
        pipeline.start_timeouts(millis(5), false);
        assert_eq!(expired(&mut pipeline, 10), (true, vec![0, 1]));
    }

    #[test]
    fn slow_command_at_the_head_is_no_stall() {
        let mut pipeline = sent(&[10_000, 10]);
        assert_eq!(expired(&mut pipeline, 10), (false, vec![1]));
        pipeline.push(&Command::new("PING"), 2, millis(10));
        send(&mut pipeline, 9_995);
        assert_eq!(expired(&mut pipeline, 10_004), (true, vec![0]));
        assert_eq!(expired(&mut pipeline, 10_005), (false, vec![2]), "the same stall");
    }

    #[test]
    fn busy_time_is_not_the_servers() {
        let mut pipeline = sent(&[10]);
        pipeline.postpone(millis(300));
        assert_eq!(pipeline.next_deadline(), Some(millis(310)));
        assert_eq!(expired(&mut pipeline, 309), (false, vec![]));
        assert_eq!(expired(&mut pipeline, 310), (true, vec![0]));
    }

    #[test]
    fn answering_server_is_waited_for_longer() {
        let mut pipeline = sent(&[10, 10, 10]);
        pipeline.heard();
        pipeline.receive(Value::Nil);
        assert_eq!(expired(&mut pipeline, 10), (false, vec![]));
        assert_eq!(pipeline.next_deadline(), Some(millis(35)));
        pipeline.heard();
        assert_eq!(expired(&mut pipeline, 35), (false, vec![]), "it has sent a part of a reply");
        assert_eq!(expired(&mut pipeline, 60), (true, vec![1, 2]), "it has fallen silent");

        let mut pipeline = sent(&[10, 10]);
        pipeline.heard();
        pipeline.receive(Value::Nil);
        assert_eq!(expired(&mut pipeline, 260), (true, vec![1]), "nothing is waited for longer");
    }

    #[test]
    fn values_before_sending_are_unsolicited() {
        let mut pipeline = queued(&[5]);
        assert_eq!(pipeline.receive(Value::Nil), Event::Unsolicited(Value::Nil));
        send(&mut pipeline, 0);
        assert_eq!(pipeline.receive(Value::Integer(1)), Event::Reply(0, Value::Integer(1)));
    }

    #[test]
    fn concurrent_commands_expire_as_one() {
        let mut pipeline = sent(&[10, 20]);
        assert_eq!(expired(&mut pipeline, 10), (true, vec![0]));
        pipeline.push(&Command::new("PING"), 2, millis(20));
        send(&mut pipeline, 10);
        let (stall, waiters) = expired(&mut pipeline, 20);
        assert!(!stall && waiters == [1], "it was in flight with the first");
        assert_eq!(expired(&mut pipeline, 30), (true, vec![2]));
    }

    #[test]
    fn close_returns_remaining_waiters() {
        let mut pipeline = sent(&[10, 30, 20]);
        expired(&mut pipeline, 10);
        assert_eq!(pipeline.close().collect::<Vec<_>>(), [1, 2]);
    }
}
