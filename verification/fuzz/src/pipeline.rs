//! Each reply goes to whoever asked, whatever is late, pushed or unasked.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use hotshelf_core::Moment;
use hotshelf_wire::resp::{Command, Decoder, Value};
use hotshelf_wire::{Event, Pipeline};

use crate::input::Input;

/// The command's number stands for whoever waits for it.
type Number = i64;

/// A pipeline beside the simplest one that is right, and the server that both talk to.
#[derive(Default)]
struct Run {
    pipeline: Pipeline<Number>,
    now: Moment,
    /// Counts all commands.
    commands: Number,
    /// The commands that have a reply to come, in order.
    places: VecDeque<Place>,
    /// What was queued and not sent.
    output: Vec<u8>,
    /// The replies that the server owes, in order.
    owed: VecDeque<Number>,
    /// How many commands there were when somebody expired and it was news.
    news: Number,
}

struct Place {
    number: Number,
    deadline: Moment,
    waits: bool,
}

/// Lets the input choose what callers, the clock and the server do, one after the other.
pub fn pipeline(input: &[u8]) {
    let (mut input, mut run) = (Input(input), Run::default());
    while let Some(step) = input.byte() {
        match step % 8 {
            0 => run.push(input.millis()),
            1 => run.push_unheard(),
            2 => run.tell(),
            3 => run.send(),
            4 => run.reply(),
            5 => run.is_pushed(),
            6 => run.is_told_unasked(),
            _ => run.expire(input.millis()),
        }
        run.check();
    }
    run.close();
}

impl Run {
    fn push(&mut self, timeout: Duration) {
        let (command, deadline) = (self.command("ECHO"), self.now + timeout);
        self.pipeline.push(&command, self.commands, deadline);
        self.places.push_back(Place { number: self.commands, deadline, waits: true });
    }

    fn push_unheard(&mut self) {
        let command = self.command("ECHO");
        self.pipeline.push_unheard(&command);
        let (number, deadline) = (self.commands, self.now);
        self.places.push_back(Place { number, deadline, waits: false });
    }

    fn tell(&mut self) {
        let command = self.command("SUBSCRIBE");
        self.pipeline.tell(&command);
    }

    /// Makes the next command, and notes that it is to be sent.
    fn command(&mut self, name: &str) -> Command {
        self.commands += 1;
        let command = Command::new(name).arg(self.commands.to_string());
        command.write_to(&mut self.output);
        command
    }

    /// Sends what was queued; the server reads it as any server does.
    fn send(&mut self) {
        let mut sent = Vec::new();
        self.pipeline.take_output(&mut sent);
        assert_eq!(sent, std::mem::take(&mut self.output), "all is sent once, and in order");
        let (mut decoder, mut bytes) = (Decoder::default(), BytesMut::from(&sent[..]));
        while let Some(command) = decoder.decode(&mut bytes).expect("commands are RESP") {
            let Value::Array(parts) = command else { panic!("{command:?} is no command") };
            if parts[0].text() == Some("ECHO") {
                let number = parts[1].text().and_then(|number| number.parse().ok());
                self.owed.push_back(number.expect("commands are numbered"));
            }
        }
        assert!(bytes.is_empty(), "half of a command is sent");
    }

    /// The server answers the oldest command by its number.
    fn reply(&mut self) {
        let Some(number) = self.owed.pop_front() else { return self.is_told_unasked() };
        let place = self.places.pop_front().expect("a place stays until its reply has come");
        assert_eq!(place.number, number, "the model is right");
        let value = Value::Integer(number);
        let received = match number % 3 {
            0 => Value::Attributed(vec![(Value::Nil, Value::Nil)], Box::new(value.clone())),
            _ => value.clone(),
        };
        let expected = if place.waits { Event::Reply(number, value) } else { Event::Late };
        assert_eq!(self.pipeline.receive(received), expected);
    }

    fn is_pushed(&mut self) {
        let push = vec![Value::Integer(self.commands)];
        assert_eq!(self.pipeline.receive(Value::Push(push.clone())), Event::Push(push));
    }

    /// The server says something though it owes nothing: commands that weren't sent are not
    /// what it answers.
    fn is_told_unasked(&mut self) {
        if self.owed.is_empty() {
            assert_eq!(self.pipeline.receive(Value::Nil), Event::Unasked(Value::Nil));
        }
    }

    fn expire(&mut self, passed: Duration) {
        self.now = self.now + passed;
        let (now, news) = (self.now, self.news);
        let (mut expected, mut is_news) = (Vec::new(), false);
        for place in self.places.iter_mut().filter(|place| place.waits && place.deadline <= now) {
            place.waits = false;
            expected.push(place.number);
            is_news |= place.number > news;
        }
        let mut expired = Vec::new();
        assert_eq!(self.pipeline.expire(now, &mut expired), is_news);
        assert_eq!(expired, expected, "all whose time has passed are told once");
        assert_eq!(self.pipeline.next_deadline(), self.next_deadline());
        if is_news {
            self.news = self.commands;
        }
    }

    fn next_deadline(&self) -> Option<Moment> {
        self.places.iter().filter(|place| place.waits).map(|place| place.deadline).min()
    }

    fn check(&self) {
        assert_eq!(self.pipeline.in_flight(), self.places.len());
        assert_eq!(self.pipeline.is_owed(), !self.owed.is_empty());
        assert_eq!(self.pipeline.has_output(), !self.output.is_empty());
        if let Some(next) = self.next_deadline() {
            let looks = self.pipeline.next_deadline();
            assert!(looks.is_some_and(|looks| looks <= next), "{looks:?} is after {next:?}");
        }
    }

    fn close(self) {
        let waits = self.places.iter().filter(|place| place.waits).map(|place| place.number);
        let expected: Vec<_> = waits.collect();
        assert_eq!(self.pipeline.close().collect::<Vec<_>>(), expected, "all are told of the end");
    }
}
