//! A call: it reads, and on a miss joins the open flight or opens one.
//!
//! The read is executed when the call begins: it changes nothing at the server, and a call
//! that begins later has stricter requirements. For the same reason a hit ends the call
//! immediately. A miss takes effect in a separate step, like the ACQUIRE of a call that does
//! not read ([`Calls::AcquireAtOnce`]).

use super::flight::{Flight, FlightId, Step};
use crate::action::{Action, Turn, View};
use crate::configurations::Calls;
use crate::properties::{Event, Property};
use crate::server::{Entry, Key, TagVersion, Version};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CallStep {
    /// A call begins, and reads.
    Begin(Key),
    /// A call begins, and its read times out.
    BeginUnread(Key),
    /// A call that missed joins a flight or opens one.
    Arrive(usize),
    /// The process crashes. Requests in flight may still be executed.
    Crash,
}

/// A call that is not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Caller {
    /// The oldest version that may answer it.
    pub(crate) needs: Version,
    pub(crate) read: ReadResult,
    /// Whether it was waiting when the flight's last request was sent or, once the flight
    /// loads, when its load began. This is all that the freshness rule requires.
    pub(crate) joined_before: bool,
}

/// The result of the call's own read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ReadResult {
    Missing,
    Unusable(Entry),
    /// The read failed. The call does not send ACQUIRE either.
    Unreadable,
}

impl ReadResult {
    pub(crate) const fn seen(self) -> Option<Entry> {
        match self {
            Self::Unusable(entry) => Some(entry),
            Self::Missing | Self::Unreadable => None,
        }
    }

    pub(crate) fn has_tag(self, tag: TagVersion) -> bool {
        self.seen().is_some_and(|entry| entry.tag == tag)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Miss {
    pub(crate) key: Key,
    pub(crate) caller: Caller,
}

impl View<'_> {
    pub(crate) fn call_steps(self, actions: &mut Vec<Action>) {
        let setup = &self.configuration.setup;
        let at_once = setup.processes.iter().map(|callers| callers.at_once);
        for (process, (state, at_once)) in self.world.processes.iter().zip(at_once).enumerate() {
            let mut add = |step| actions.push(Action::Call { process, step });
            if state.calls_left > 0 && state.calls_open() < at_once {
                for key in setup.keys() {
                    add(CallStep::Begin(key));
                    if self.world.left.timeouts > 0 {
                        add(CallStep::BeginUnread(key));
                    }
                }
            }
            for index in 0..state.missed.len() {
                add(CallStep::Arrive(index));
            }
            if self.world.left.crashes > 0 && state.calls_open() > 0 {
                add(CallStep::Crash);
            }
        }
    }
}

impl Turn<'_> {
    pub(crate) fn call(&mut self, process: usize, step: CallStep) {
        match step {
            CallStep::Begin(key) => self.begin(process, key),
            CallStep::BeginUnread(key) => {
                self.world.left.timeouts -= 1;
                self.miss(process, key, ReadResult::Unreadable);
            }
            CallStep::Arrive(index) => self.arrive(process, index),
            CallStep::Crash => self.crash(process),
        }
    }

    fn begin(&mut self, process: usize, key: Key) {
        if self.world.processes[process].near.is_some() {
            if !self.near_hit(process, key, None) {
                self.send_read(process, key);
            }
            return;
        }
        let server = &self.world.server;
        let read = match server.slots[key].entry {
            _ if self.configuration.setup.calls == Calls::AcquireAtOnce => ReadResult::Missing,
            None => ReadResult::Missing,
            Some(entry) if self.configuration.is_usable(entry, server.tag) => {
                self.met(Event::Hit);
                self.world.processes[process].calls_left -= 1;
                let needed = self.world.promised[key];
                return self.answer(entry.version, needed, Property::FreshEntries);
            }
            Some(entry) => {
                self.met(Event::UnusableEntry);
                ReadResult::Unusable(entry)
            }
        };
        self.miss(process, key, read);
    }

    fn miss(&mut self, process: usize, key: Key, read: ReadResult) {
        let needs = self.world.promised[key];
        let process = &mut self.world.processes[process];
        process.calls_left -= 1;
        let miss = Miss { key, caller: Caller { needs, read, joined_before: false } };
        process.missed.push(miss);
        process.missed.sort_unstable();
    }

    fn arrive(&mut self, process: usize, index: usize) {
        let rules = &self.configuration.rules;
        let process_state = &mut self.world.processes[process];
        let Miss { key, caller } = process_state.missed.remove(index);
        let mut flights = process_state.flights.iter_mut();
        if let Some(flight) = flights.find(|flight| flight.is_joinable(key, rules)) {
            flight.callers.push(caller);
            return;
        }
        let index = process_state.flights.len();
        // `lead` sets the first step.
        let flight = Flight { key, open: true, callers: vec![caller], step: Step::Waiting };
        process_state.flights.push(flight);
        self.lead(FlightId { process, index });
    }

    fn crash(&mut self, process: usize) {
        self.world.left.crashes -= 1;
        let process = &mut self.world.processes[process];
        process.calls_left = 0;
        process.missed.clear();
        process.near = None;
        let flights = std::mem::take(&mut process.flights);
        for request in flights.iter().filter_map(Flight::request_in_flight) {
            self.world.push_late(request);
        }
    }
}
