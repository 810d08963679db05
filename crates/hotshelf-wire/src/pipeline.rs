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
    /// How often commands have expired, those together counted once that were on their way
    /// together.
    expiries: u32,
}

struct Waiting<W> {
    /// `None` once the deadline has passed, or if nobody waits.
    waiter: Option<W>,
    deadline: Moment,
    /// How often others had expired when this one was queued.
    expiries: u32,
}

/// What a server has said.
#[derive(Debug, PartialEq)]
pub enum Event<W> {
    /// The reply to a command, for whoever waits for it.
    Reply(W, Value),
    /// The reply to a command that nobody waits for any more.
    Late,
    /// What the server says of its own accord. It stands between the replies where it came.
    Push(Vec<Value>),
    /// A reply where no command that was sent waits for one. On a connection that only listens it is how
    /// RESP2 brings messages, and how a subscription fails; on any other the two sides don't
    /// understand each other, and no later reply can be trusted.
    Unasked(Value),
}

impl<W> Pipeline<W> {
    /// Makes the pipeline of a connection that was just opened.
    #[must_use]
    pub fn new() -> Self {
        let (output, waiting) = (Vec::new(), VecDeque::new());
        Self { output, waiting, unsent: 0, earliest: None, expiries: 0 }
    }

    /// Queues a command, and whoever waits for its reply.
    pub fn push(&mut self, command: &Command, waiter: W, deadline: Moment) {
        self.queue(command, Some(waiter), deadline);
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
    }

    /// Queues a command whose reply is for nobody, as it only prepares the next one.
    pub fn push_unheard(&mut self, command: &Command) {
        self.queue(command, None, Moment::default());
    }

    /// Queues a command that has no reply of its own: a subscription.
    pub fn tell(&mut self, command: &Command) {
        command.write_to(&mut self.output);
    }

    fn queue(&mut self, command: &Command, waiter: Option<W>, deadline: Moment) {
        command.write_to(&mut self.output);
        self.waiting.push_back(Waiting { waiter, deadline, expiries: self.expiries });
        self.unsent += 1;
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
    pub fn receive(&mut self, value: Value) -> Event<W> {
        let value = match value {
            Value::Attributed(_, value) => return self.receive(*value),
            Value::Push(push) => return Event::Push(push),
            value => value,
        };
        if !self.is_owed() {
            return Event::Unasked(value);
        }
        let Some(waiting) = self.waiting.pop_front() else { return Event::Unasked(value) };
        if self.waiting.is_empty() {
            self.earliest = None;
        }
        waiting.waiter.map_or(Event::Late, |waiter| Event::Reply(waiter, value))
    }

    /// Gives a time before which no deadline passes: when to call [`Pipeline::expire`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.earliest
    }

    /// Takes those out whose deadline has passed; their places stay. Says whether one of
    /// them was queued after the last that expired: those that were on their way together
    /// tell of one hiccup of the server, and not of many.
    ///
    /// It looks at all that are in flight. A caller that waits for [`next_deadline`] first
    /// does so at most once in the shortest deadline, and not once for each command.
    ///
    /// [`next_deadline`]: Self::next_deadline
    pub fn expire(&mut self, now: Moment, expired: &mut Vec<W>) -> bool {
        let (mut earliest, mut news) = (None, false);
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.waiter.is_some()) {
            if waiting.deadline <= now {
                expired.extend(waiting.waiter.take());
                news |= waiting.expiries == self.expiries;
            } else {
                let deadline = waiting.deadline;
                earliest = Some(earliest.map_or(deadline, |earliest| deadline.min(earliest)));
            }
        }
        self.earliest = earliest;
        self.expiries = self.expiries.wrapping_add(u32::from(news));
        news
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

    fn queued(deadlines: &[u64]) -> Pipeline<usize> {
        let mut pipeline = Pipeline::new();
        for (waiter, deadline) in deadlines.iter().enumerate() {
            pipeline.push(&Command::new("PING"), waiter, at(*deadline));
        }
        pipeline
    }

    fn asked(deadlines: &[u64]) -> Pipeline<usize> {
        let mut pipeline = queued(deadlines);
        pipeline.take_output(&mut Vec::new());
        pipeline
    }

    #[test]
    fn all_that_was_queued_is_sent_at_once() {
        let mut pipeline = queued(&[5, 5]);
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
        assert_eq!(pipeline.receive(Value::Integer(0)), Event::Reply(0, Value::Integer(0)));
        assert_eq!(pipeline.receive(Value::Push(push.clone())), Event::Push(push));
        assert_eq!(pipeline.receive(remarked), Event::Reply(1, Value::Integer(1)));
        assert_eq!(pipeline.next_deadline(), None);
        assert_eq!(pipeline.receive(Value::Nil), Event::Unasked(Value::Nil));
    }

    #[test]
    fn what_prepares_a_command_has_a_place_and_what_listens_has_none() {
        let mut pipeline = Pipeline::new();
        pipeline.push_unheard(&Command::new("ASKING"));
        assert_eq!(pipeline.next_deadline(), None);
        pipeline.push(&Command::new("GET").arg("k"), 'w', at(5));
        pipeline.tell(&Command::new("SUBSCRIBE").arg("c"));
        assert_eq!(pipeline.in_flight(), 2);
        pipeline.take_output(&mut Vec::new());
        assert_eq!(pipeline.receive(Value::Nil), Event::Late);
        assert_eq!(pipeline.receive(Value::Nil), Event::Reply('w', Value::Nil));
        assert_eq!(pipeline.in_flight(), 0);
    }

    #[test]
    fn a_late_reply_is_nobodys() {
        let mut pipeline = asked(&[10, 30, 20]);
        let mut expired = Vec::new();
        assert_eq!(pipeline.next_deadline(), Some(at(10)));
        assert!(!pipeline.expire(at(9), &mut expired));
        assert_eq!(expired, [0; 0]);
        assert!(pipeline.expire(at(20), &mut expired));
        assert_eq!(expired, [0, 2]);
        assert_eq!((pipeline.next_deadline(), pipeline.in_flight()), (Some(at(30)), 3));

        let events: Vec<_> = (0..3).map(|_| pipeline.receive(Value::Nil)).collect();
        assert_eq!(events, [Event::Late, Event::Reply(1, Value::Nil), Event::Late]);
        assert_eq!(pipeline.in_flight(), 0);
    }

    #[test]
    fn what_comes_before_a_command_was_sent_is_no_reply_to_it() {
        let mut pipeline = queued(&[5]);
        assert_eq!(pipeline.receive(Value::Nil), Event::Unasked(Value::Nil));
        pipeline.take_output(&mut Vec::new());
        assert_eq!(pipeline.receive(Value::Integer(1)), Event::Reply(0, Value::Integer(1)));
    }

    #[test]
    fn those_who_were_on_their_way_together_expire_as_one() {
        let mut pipeline = asked(&[10, 20]);
        let mut expired = Vec::new();
        assert!(pipeline.expire(at(10), &mut expired));
        pipeline.push(&Command::new("PING"), 2, at(30));
        assert!(!pipeline.expire(at(20), &mut expired), "it was under way with the first");
        assert!(pipeline.expire(at(30), &mut expired));
        assert_eq!(expired, [0, 1, 2]);
    }

    #[test]
    fn those_who_still_wait_are_told_of_the_end() {
        let mut pipeline = asked(&[10, 30, 20]);
        pipeline.expire(at(10), &mut Vec::new());
        assert_eq!(pipeline.close().collect::<Vec<_>>(), [1, 2]);
    }
}
