//! Commands on their way to a server, and the replies that come back in the same order.

use std::collections::VecDeque;
use std::fmt;

use hotshelf_core::Moment;

use crate::resp::{Command, Value};

/// One connection's traffic: what is to be sent, and who waits for what comes.
///
/// A server answers commands in the order in which they came, so that the n-th reply
/// belongs to the n-th command and no reply carries a number. Nobody leaves the queue
/// therefore: of a command whose deadline has passed, the place stays, and takes the reply
/// when it comes after all.
///
/// `W` is whoever waits for a reply.
pub struct Pipeline<W> {
    output: Vec<u8>,
    waiting: VecDeque<Waiting<W>>,
    /// How many of those wait for what wasn't sent yet.
    unsent: usize,
    /// No deadline is earlier than this one.
    earliest: Option<Moment>,
}

struct Waiting<W> {
    /// `None` once the deadline has passed.
    waiter: Option<W>,
    deadline: Moment,
}

/// What a server has said.
#[derive(Debug, PartialEq)]
pub enum Event<W> {
    /// The reply to a command, for whoever waits for it.
    Reply(W, Value),
    /// The reply to a command that nobody waits for any more.
    Late,
    /// What the server says unasked. It stands between the replies where it came.
    Push(Vec<Value>),
}

/// There is a reply to a command that wasn't sent: the two sides don't understand each
/// other, and no later reply can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unasked;

impl fmt::Display for Unasked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the server answered what it wasn't asked")
    }
}

impl std::error::Error for Unasked {}

impl<W> Pipeline<W> {
    /// Makes the pipeline of a connection that was just opened.
    #[must_use]
    pub fn new() -> Self {
        Self { output: Vec::new(), waiting: VecDeque::new(), unsent: 0, earliest: None }
    }

    /// Queues a command, and whoever waits for its reply.
    pub fn push(&mut self, command: &Command, waiter: W, deadline: Moment) {
        command.write_to(&mut self.output);
        self.waiting.push_back(Waiting { waiter: Some(waiter), deadline });
        self.unsent += 1;
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
    }

    /// Says how many replies are still to come, those included that nobody waits for.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    /// Says whether the server owes replies to what was sent already.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.waiting.len() > self.unsent
    }

    /// Says whether there is something to send.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Gives what is to be sent, all at once, in exchange for an empty buffer.
    pub fn take_output(&mut self, buffer: &mut Vec<u8>) {
        debug_assert!(buffer.is_empty(), "what wasn't sent yet would be sent later");
        std::mem::swap(&mut self.output, buffer);
        self.unsent = 0;
    }

    /// Takes the next value that has come, and says whom it is for.
    ///
    /// # Errors
    /// If there is no command that it could answer. The connection is lost then: close it,
    /// and [`Pipeline::close`] tells who has waited in vain.
    pub fn receive(&mut self, value: Value) -> Result<Event<W>, Unasked> {
        let value = match value.without_attributes() {
            Value::Push(push) => return Ok(Event::Push(push)),
            value => value,
        };
        let waiting = self.waiting.pop_front().ok_or(Unasked)?;
        if self.waiting.is_empty() {
            self.earliest = None;
        }
        Ok(waiting.waiter.map_or(Event::Late, |waiter| Event::Reply(waiter, value)))
    }

    /// Gives a time before which no deadline passes: when to call [`Pipeline::expire`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.earliest
    }

    /// Takes those out whose deadline has passed. Their places stay.
    ///
    /// It looks at all that are in flight. A caller that waits for [`next_deadline`] first
    /// does so at most once in the shortest deadline, and not once for each command.
    ///
    /// [`next_deadline`]: Self::next_deadline
    pub fn expire(&mut self, now: Moment, expired: &mut Vec<W>) {
        let mut earliest = None;
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.waiter.is_some()) {
            if waiting.deadline <= now {
                expired.extend(waiting.waiter.take());
            } else {
                let deadline = waiting.deadline;
                earliest = Some(earliest.map_or(deadline, |earliest| deadline.min(earliest)));
            }
        }
        self.earliest = earliest;
    }

    /// Ends the pipeline of a connection that was lost, and gives those who still wait.
    pub fn close(self) -> impl Iterator<Item = W> {
        self.waiting.into_iter().filter_map(|waiting| waiting.waiter)
    }
}

impl<W> Default for Pipeline<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl<W> fmt::Debug for Pipeline<W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Pipeline");
        debug.field("output", &self.output.len()).field("in_flight", &self.in_flight());
        debug.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    fn asked(deadlines: &[u64]) -> Pipeline<usize> {
        let mut pipeline = Pipeline::new();
        for (waiter, deadline) in deadlines.iter().enumerate() {
            pipeline.push(&Command::new("PING"), waiter, at(*deadline));
        }
        pipeline
    }

    #[test]
    fn all_that_was_queued_is_sent_at_once() {
        let mut pipeline = asked(&[5, 5]);
        let mut sent = Vec::new();
        pipeline.take_output(&mut sent);
        assert_eq!(sent, b"*1\r\n$4\r\nPING\r\n".repeat(2));
        assert!(!pipeline.has_output());
        assert_eq!(pipeline.in_flight(), 2);
    }

    #[test]
    fn replies_go_to_those_who_asked_and_pushes_stand_between_them() {
        let mut pipeline = asked(&[5, 5]);
        let push = vec![Value::Simple("a".into())];
        let remarked = Value::Attributed(vec![], Box::new(Value::Integer(1)));
        assert_eq!(pipeline.receive(Value::Integer(0)), Ok(Event::Reply(0, Value::Integer(0))));
        assert_eq!(pipeline.receive(Value::Push(push.clone())), Ok(Event::Push(push)));
        assert_eq!(pipeline.receive(remarked), Ok(Event::Reply(1, Value::Integer(1))));
        assert_eq!(pipeline.next_deadline(), None);
        assert_eq!(pipeline.receive(Value::Nil), Err(Unasked));
    }

    #[test]
    fn a_late_reply_is_nobodys() {
        let mut pipeline = asked(&[10, 30, 20]);
        let mut expired = Vec::new();
        assert_eq!(pipeline.next_deadline(), Some(at(10)));
        pipeline.expire(at(9), &mut expired);
        assert_eq!(expired, [0; 0]);
        pipeline.expire(at(20), &mut expired);
        assert_eq!(expired, [0, 2]);
        assert_eq!((pipeline.next_deadline(), pipeline.in_flight()), (Some(at(30)), 3));

        let events: Vec<_> = (0..3).map(|_| pipeline.receive(Value::Nil).unwrap()).collect();
        assert_eq!(events, [Event::Late, Event::Reply(1, Value::Nil), Event::Late]);
        assert_eq!(pipeline.in_flight(), 0);
    }

    #[test]
    fn those_who_still_wait_are_told_of_the_end() {
        let mut pipeline = asked(&[10, 30, 20]);
        pipeline.expire(at(10), &mut Vec::new());
        assert_eq!(pipeline.close().collect::<Vec<_>>(), [1, 2]);
    }
}
