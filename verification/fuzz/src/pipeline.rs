//! Each reply reaches its own waiter, despite late replies, pushes and unsolicited values.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use hotshelf_wire::resp::{Command, Decoder, Value};
use hotshelf_wire::{Event, GRACE, Pipeline};

use crate::input::Input;

/// The number of a command, also its waiter.
type Number = i64;

/// A pipeline, the simplest correct model of it, and the server that both talk to.
#[derive(Default)]
struct Run {
    pipeline: Pipeline<Number, Duration>,
    /// The time since the beginning.
    now: Duration,
    /// The number of commands so far.
    commands: Number,
    /// The commands with an outstanding reply, in order.
    queue: VecDeque<Queued>,
    /// The bytes that were queued and not sent.
    output: Vec<u8>,
    /// The replies that the server has not sent yet, in order.
    owed: VecDeque<Number>,
    /// The number of commands at the last expiry that was a new stall.
    stalled_at: Number,
    /// Whether a reply was received since the last expiry.
    answering: bool,
}

struct Queued {
    number: Number,
    timeout: Duration,
    /// `None` until the timeout has begun.
    deadline: Option<Duration>,
    /// When the deadline is looked at next: later than it while the server answers others.
    due: Option<Duration>,
    sent: bool,
    /// Whether the kernel is known to have accepted it.
    handed_over: bool,
    waits: bool,
}

/// Runs the steps of callers, the clock and the server that the input chooses.
pub fn pipeline(input: &[u8]) {
    let (mut input, mut run) = (Input(input), Run::default());
    while let Some(step) = input.byte() {
        match step % 10 {
            0 => run.push(input.millis()),
            1 => run.push_ignored(),
            2 => run.push_without_reply(),
            3 => run.send(),
            4 => run.reply(),
            5 => run.receive_push(),
            6 => run.receive_unsolicited(),
            7 => run.start_timeouts(step >= 128),
            8 => run.postpone(input.millis()),
            _ => run.expire(input.millis()),
        }
        run.check();
    }
    run.close();
}

impl Run {
    fn push(&mut self, timeout: Duration) {
        let command = self.command("ECHO");
        self.pipeline.push(&command, self.commands, timeout);
        self.queue(timeout, true);
    }

    fn queue(&mut self, timeout: Duration, waits: bool) {
        self.queue.push_back(Queued {
            number: self.commands,
            timeout,
            deadline: None,
            due: None,
            sent: false,
            handed_over: false,
            waits,
        });
    }

    fn push_ignored(&mut self) {
        let command = self.command("ECHO");
        self.pipeline.push_ignored(&command);
        self.queue(Duration::ZERO, false);
    }

    fn push_without_reply(&mut self) {
        let command = self.command("SUBSCRIBE");
        self.pipeline.push_without_reply(&command);
    }

    /// Creates the next command, and expects it to be sent.
    fn command(&mut self, name: &str) -> Command {
        self.commands += 1;
        let command = Command::new(name).arg(self.commands.to_string());
        command.write_to(&mut self.output);
        command
    }

    /// Sends the queued bytes, which the server decodes.
    fn send(&mut self) {
        let mut sent = Vec::new();
        self.pipeline.take_output(&mut sent);
        assert_eq!(sent, std::mem::take(&mut self.output), "everything is sent once, and in order");
        let (mut decoder, mut bytes) = (Decoder::default(), BytesMut::from(&sent[..]));
        while let Some(command) = decoder.decode(&mut bytes).expect("commands are RESP") {
            let Value::Array(parts) = command else { panic!("{command:?} is not a command") };
            if parts[0].text() == Some("ECHO") {
                let number = parts[1].text().and_then(|number| number.parse().ok());
                self.owed.push_back(number.expect("commands are numbered"));
            }
        }
        assert!(bytes.is_empty(), "only whole commands are sent");
        self.queue.iter_mut().for_each(|queued| queued.sent = true);
    }

    /// The server replies to the oldest command with its number.
    fn reply(&mut self) {
        let Some(number) = self.owed.pop_front() else { return self.receive_unsolicited() };
        let queued = self.queue.pop_front().expect("a command stays until its reply arrives");
        self.answering = true;
        assert_eq!(queued.number, number, "the model is correct");
        let value = Value::Integer(number);
        let received = match number % 3 {
            0 => Value::Attributed(vec![(Value::Nil, Value::Nil)], Box::new(value.clone())),
            _ => value.clone(),
        };
        self.pipeline.heard();
        let expected = if queued.waits { Event::Reply(number, value) } else { Event::Late };
        assert_eq!(self.pipeline.receive(received), expected);
    }

    fn receive_push(&mut self) {
        let push = vec![Value::Integer(self.commands)];
        assert_eq!(self.pipeline.receive(Value::Push(push.clone())), Event::Push(push));
    }

    /// The server sends a value without an outstanding reply: it can't be the reply to a
    /// command that was not sent.
    fn receive_unsolicited(&mut self) {
        if self.owed.is_empty() {
            assert_eq!(self.pipeline.receive(Value::Nil), Event::Unsolicited(Value::Nil));
        }
    }

    /// Begins timeouts; anew, if the kernel has accepted what was sent.
    fn start_timeouts(&mut self, handed_over: bool) {
        for queued in &mut self.queue {
            let accepted = handed_over && queued.sent && !queued.handed_over;
            if queued.waits && (accepted || queued.deadline.is_none()) {
                queued.deadline = Some(self.now + queued.timeout);
                queued.due = queued.deadline;
                queued.handed_over |= accepted;
            }
        }
        self.pipeline.start_timeouts(self.now, handed_over);
        assert!(!self.pipeline.has_untimed(handed_over));
    }

    fn postpone(&mut self, late: Duration) {
        for queued in &mut self.queue {
            queued.deadline = queued.deadline.map(|deadline| deadline + late);
            queued.due = queued.due.map(|due| due + late);
        }
        self.pipeline.postpone(late);
    }

    fn expire(&mut self, passed: Duration) {
        self.now += passed;
        let (now, stalled_at) = (self.now, self.stalled_at);
        let (mut expected, mut new_stall) = (Vec::new(), false);
        let answering = std::mem::take(&mut self.answering);
        let head = self.queue.iter().find_map(|queued| queued.deadline);
        let is_head_late = head.is_some_and(|deadline| deadline <= now);
        for queued in self.queue.iter_mut().filter(|queued| queued.waits) {
            let Some(deadline) = queued.deadline else { continue };
            queued.due = match deadline <= now {
                true => Some(now + Duration::from_millis(25)),
                false => Some(deadline),
            };
            if deadline <= now && !(answering && now < deadline + GRACE) {
                queued.waits = false;
                expected.push(queued.number);
                new_stall |= is_head_late && queued.number > stalled_at;
            }
        }
        let mut expired = Vec::new();
        assert_eq!(self.pipeline.expire(now, &mut expired), new_stall);
        assert_eq!(expired, expected, "each waiter expires once");
        assert_eq!(self.pipeline.next_deadline(), self.next_deadline());
        if new_stall {
            self.stalled_at = self.commands;
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.queue.iter().filter(|queued| queued.waits).filter_map(|queued| queued.due).min()
    }

    fn check(&self) {
        assert_eq!(self.pipeline.in_flight(), self.queue.len());
        assert_eq!(self.pipeline.awaits_replies(), !self.owed.is_empty());
        assert_eq!(self.pipeline.has_output(), !self.output.is_empty());
        assert_eq!(self.pipeline.is_idle(), self.queue.iter().all(|queued| !queued.waits));
        if let Some(next) = self.next_deadline() {
            let reported = self.pipeline.next_deadline();
            let is_bound = reported.is_some_and(|reported| reported <= next);
            assert!(is_bound, "{reported:?} is after {next:?}");
        }
    }

    fn close(self) {
        let waiting = self.queue.iter().filter(|queued| queued.waits).map(|queued| queued.number);
        let expected: Vec<_> = waiting.collect();
        let closed: Vec<_> = self.pipeline.close().collect();
        assert_eq!(closed, expected, "all remaining waiters are returned");
    }
}
