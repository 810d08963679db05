//! Commands in flight, matched with the replies that arrive in the same order.

use std::collections::VecDeque;
use std::fmt;

use crate::resp::{Command, Value};

/// The traffic of one connection: bytes to send, and the waiters for the replies.
///
/// A server answers commands in the order in which they arrive: the n-th reply belongs to the
/// n-th command, and no reply carries a number. A command therefore keeps its position in the
/// queue even after its deadline has passed, and consumes its late reply.
///
/// `W` is the type of waiters, `T` that of instants.
pub struct Pipeline<W, T> {
    output: Vec<u8>,
    queue: VecDeque<Queued<W, T>>,
    /// The number of queued commands that were not sent yet.
    unsent: usize,
    /// A lower bound of all deadlines.
    earliest: Option<T>,
    /// The number of expiries so far. Commands that were in flight together count as one.
    expiries: u32,
}

struct Queued<W, T> {
    /// The waiter and its deadline; `None` if the deadline has passed or the reply is ignored.
    waiter: Option<(W, T)>,
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
    /// An out-of-band push. Pushes keep their position among the replies.
    Push(Vec<Value>),
    /// A reply while no command is in flight. Connections in subscriber mode receive
    /// messages (RESP2) and subscription errors this way. On any other connection the two
    /// sides are out of sync, and no later reply can be trusted.
    Unsolicited(Value),
}

impl<W, T: Copy + Ord> Pipeline<W, T> {
    /// Creates the pipeline of a new connection.
    #[must_use]
    pub fn new() -> Self {
        let (output, queue) = (Vec::new(), VecDeque::new());
        Self { output, queue, unsent: 0, earliest: None, expiries: 0 }
    }

    /// Queues a command and the waiter for its reply.
    pub fn push(&mut self, command: &Command, waiter: W, deadline: T) {
        self.enqueue(command, Some((waiter, deadline)));
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
    }

    /// Queues a command whose reply is ignored: a prefix of the next command.
    pub fn push_ignored(&mut self, command: &Command) {
        self.enqueue(command, None);
    }

    /// Queues a command without a reply: a subscription.
    pub fn push_without_reply(&mut self, command: &Command) {
        command.write_to(&mut self.output);
    }

    fn enqueue(&mut self, command: &Command, waiter: Option<(W, T)>) {
        command.write_to(&mut self.output);
        self.queue.push_back(Queued { waiter, expiries: self.expiries });
        self.unsent += 1;
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

    /// Returns `true` if there are bytes to send.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Moves all bytes to send into an empty buffer.
    pub fn take_output(&mut self, buffer: &mut Vec<u8>) {
        debug_assert!(buffer.is_empty(), "unsent bytes would be sent out of order");
        std::mem::swap(&mut self.output, buffer);
        self.unsent = 0;
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
        if self.queue.is_empty() {
            self.earliest = None;
        }
        queued.waiter.map_or(Event::Late, |(waiter, _)| Event::Reply(waiter, value))
    }

    /// Returns an instant before which no deadline passes: when to call [`Pipeline::expire`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<T> {
        self.earliest
    }

    /// Removes the waiters whose deadline has passed; their commands keep their positions.
    ///
    /// Returns `true` if one of them was queued after the previous expiry: commands that were
    /// in flight together are evidence of one stall of the server, not of several.
    ///
    /// Visits every command in flight. A caller that waits for [`next_deadline`] first does so
    /// at most once per shortest deadline, not once per command.
    ///
    /// [`next_deadline`]: Self::next_deadline
    pub fn expire(&mut self, now: T, expired: &mut Vec<W>) -> bool {
        let (mut earliest, mut new_stall) = (None, false);
        for queued in &mut self.queue {
            let Some((_, deadline)) = &queued.waiter else { continue };
            let deadline = *deadline;
            if deadline <= now {
                expired.extend(queued.waiter.take().map(|(waiter, _)| waiter));
                new_stall |= queued.expiries == self.expiries;
            } else {
                earliest = Some(earliest.map_or(deadline, |earliest| deadline.min(earliest)));
            }
        }
        self.earliest = earliest;
        self.expiries = self.expiries.wrapping_add(u32::from(new_stall));
        new_stall
    }

    /// Closes the pipeline of a lost connection and returns the remaining waiters.
    pub fn close(self) -> impl Iterator<Item = W> {
        self.queue.into_iter().filter_map(|queued| queued.waiter).map(|(waiter, _)| waiter)
    }
}

impl<W, T: Copy + Ord> Default for Pipeline<W, T> {
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

    /// A pipeline on milliseconds, with a command for each deadline.
    fn queued(deadlines: &[u64]) -> Pipeline<usize, u64> {
        let mut pipeline = Pipeline::new();
        for (waiter, deadline) in deadlines.iter().enumerate() {
            pipeline.push(&Command::new("PING"), waiter, *deadline);
        }
        pipeline
    }

    fn sent(deadlines: &[u64]) -> Pipeline<usize, u64> {
        let mut pipeline = queued(deadlines);
        pipeline.take_output(&mut Vec::new());
        pipeline
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
    fn only_subscriptions_expect_no_reply() {
        let mut pipeline = Pipeline::new();
        pipeline.push_ignored(&Command::new("ASKING"));
        assert_eq!(pipeline.next_deadline(), None);
        pipeline.push(&Command::new("GET").arg("k"), 'w', 5);
        pipeline.push_without_reply(&Command::new("SUBSCRIBE").arg("c"));
        assert_eq!(pipeline.in_flight(), 2);
        pipeline.take_output(&mut Vec::new());
        assert_eq!(pipeline.receive(Value::Nil), Event::Late);
        assert_eq!(pipeline.receive(Value::Nil), Event::Reply('w', Value::Nil));
        assert_eq!(pipeline.in_flight(), 0);
    }

    #[test]
    fn late_replies_are_dropped() {
        let mut pipeline = sent(&[10, 30, 20]);
        let mut expired = Vec::new();
        assert_eq!(pipeline.next_deadline(), Some(10));
        assert!(!pipeline.expire(9, &mut expired));
        assert_eq!(expired, [0; 0]);
        assert!(pipeline.expire(20, &mut expired));
        assert_eq!(expired, [0, 2]);
        assert_eq!((pipeline.next_deadline(), pipeline.in_flight()), (Some(30), 3));

        let events: Vec<_> = (0..3).map(|_| pipeline.receive(Value::Nil)).collect();
        assert_eq!(events, [Event::Late, Event::Reply(1, Value::Nil), Event::Late]);
        assert_eq!(pipeline.in_flight(), 0);
    }

    #[test]
    fn values_before_sending_are_unsolicited() {
        let mut pipeline = queued(&[5]);
        assert_eq!(pipeline.receive(Value::Nil), Event::Unsolicited(Value::Nil));
        pipeline.take_output(&mut Vec::new());
        assert_eq!(pipeline.receive(Value::Integer(1)), Event::Reply(0, Value::Integer(1)));
    }

    #[test]
    fn concurrent_commands_expire_as_one() {
        let mut pipeline = sent(&[10, 20]);
        let mut expired = Vec::new();
        assert!(pipeline.expire(10, &mut expired));
        pipeline.push(&Command::new("PING"), 2, 30);
        assert!(!pipeline.expire(20, &mut expired), "it was in flight with the first");
        assert!(pipeline.expire(30, &mut expired));
        assert_eq!(expired, [0, 1, 2]);
    }

    #[test]
    fn close_returns_remaining_waiters() {
        let mut pipeline = sent(&[10, 30, 20]);
        pipeline.expire(10, &mut Vec::new());
        assert_eq!(pipeline.close().collect::<Vec<_>>(), [1, 2]);
    }
}
