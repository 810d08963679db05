//! A call: it reads, and on a miss joins the open flight or opens one.
//!
//! The read is executed when the call begins: it changes nothing at the server, and a call
//! that begins later has stricter requirements. For the same reason a hit ends the call
//! immediately. A miss takes effect in a separate step, like the ACQUIRE of a call that does
//! not read ([`Calls::AcquireAtOnce`]).

use super::flight::{Flight, FlightId, Step};
use crate::action::{Action, Turn, View};
use crate::configurations::{Calls, Stale};
use crate::entry::Entry;
use crate::properties::{Event, Property};
use crate::server::{Key, TagVersion, Version};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CallStep {
    /// A call begins, and reads.
    Begin(Key),
    /// A batch of all keys begins, and reads.
    BeginBatch,
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
    /// Whether it was waiting when the read after a failed load was sent.
    pub(crate) reads_again: bool,
    /// Whether it is one key of a batch.
    pub(crate) in_batch: bool,
    /// The load of the process that it reads a part for.
    pub(crate) part_of: Option<u8>,
}

impl Caller {
    pub(crate) const fn new(needs: Version, read: ReadResult) -> Self {
        Self {
            needs,
            read,
            joined_before: false,
            reads_again: false,
            in_batch: false,
            part_of: None,
        }
    }
}

/// The result of the call's own read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ReadResult {
    Missing,
    Unusable(Entry),
    /// A hit, but soft-expired; the call loads first.
    SoftExpired(Entry),
    /// The version of the entry's tag is still to be read.
    TagUnknown(Entry),
    /// The read failed. The call does not send ACQUIRE either.
    Unreadable,
}

impl ReadResult {
    pub(crate) const fn seen(self) -> Option<Entry> {
        match self {
            Self::Unusable(entry) | Self::SoftExpired(entry) | Self::TagUnknown(entry) => {
                Some(entry)
            }
            Self::Missing | Self::Unreadable => None,
        }
    }

    pub(crate) const fn soft_expired(self) -> Option<Entry> {
        match self {
            Self::SoftExpired(entry) => Some(entry),
            _ => None,
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
            if state.batches_left > 0 && !state.has_open_batch() {
                add(CallStep::BeginBatch);
            }
            if state.calls_left > 0 && state.calls_open() < at_once {
                let only = setup.processes[process].key;
                for key in setup.keys().filter(|key| only.is_none_or(|only| only == *key)) {
                    add(CallStep::Begin(key));
                    if self.world.left.timeouts > 0 {
                        add(CallStep::BeginUnread(key));
                    }
                }
            }
            for (index, miss) in state.missed.iter().enumerate() {
                if !miss.caller.in_batch || self.batch_may_arrive(state, index) {
                    add(CallStep::Arrive(index));
                }
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
            CallStep::BeginBatch => {
                self.world.processes[process].batches_left -= 1;
                for key in self.configuration.setup.keys() {
                    let caller = Caller { in_batch: true, ..self.new_caller(key) };
                    self.read(process, key, caller);
                }
            }
            CallStep::BeginUnread(key) => {
                self.world.left.timeouts -= 1;
                self.world.processes[process].calls_left -= 1;
                let caller = self.new_caller(key);
                self.miss(process, key, Caller { read: ReadResult::Unreadable, ..caller });
            }
            CallStep::Arrive(index)
                if self.world.processes[process].missed[index].caller.in_batch =>
            {
                self.arrive_in_batch(process);
            }
            CallStep::Arrive(index) => self.arrive(process, index),
            CallStep::Crash => self.crash(process),
        }
    }

    fn begin(&mut self, process: usize, key: Key) {
        self.world.processes[process].calls_left -= 1;
        let caller = self.new_caller(key);
        self.begin_with(process, key, caller);
    }

    /// Returns the caller of a key that begins now.
    pub(super) fn new_caller(&self, key: Key) -> Caller {
        Caller::new(self.world.promised[key], ReadResult::Missing)
    }

    /// Begins a call, with the near tier if there is one.
    pub(super) fn begin_with(&mut self, process: usize, key: Key, caller: Caller) {
        if self.world.processes[process].near.is_none() {
            self.read(process, key, caller);
        } else if let Some(entry) = self.near_hit(process, key, None) {
            self.give_nearby(process, caller, entry);
        } else {
            self.send_read(process, key, caller);
        }
    }

    fn read(&mut self, process: usize, key: Key, caller: Caller) {
        let read = match (self.world.server.slots[key].entry, self.configuration.setup.calls) {
            (None, _) | (_, Calls::AcquireAtOnce) => Some(ReadResult::Missing),
            (Some(entry), Calls::ReadTagLater) => Some(ReadResult::TagUnknown(entry)),
            (Some(entry), Calls::ReadFirst) => self.check_read(process, key, entry, caller),
        };
        if let Some(read) = read {
            self.miss(process, key, Caller { read, ..caller });
        }
    }

    /// Answers a call with the entry that it has read, unless it has to load.
    fn check_read(
        &mut self,
        process: usize,
        key: Key,
        entry: Entry,
        caller: Caller,
    ) -> Option<ReadResult> {
        if !self.configuration.is_usable(entry, self.world.server.tag) {
            self.met(Event::UnusableEntry);
            return Some(ReadResult::Unusable(entry));
        }
        if entry.is_soft_expired() && self.configuration.setup.stale == Stale::LoadedFirst {
            return Some(ReadResult::SoftExpired(entry));
        }
        self.met(Event::Hit);
        self.answer(entry.version, caller.needs, Property::FreshEntries);
        self.give_part(process, caller, entry.version, Some(entry.tag));
        self.refresh_if_due(process, key, entry);
        None
    }

    pub(super) fn miss(&mut self, process: usize, key: Key, caller: Caller) {
        let missed = &mut self.world.processes[process].missed;
        missed.push(Miss { key, caller });
        missed.sort_unstable();
    }

    pub(super) fn arrive(&mut self, process: usize, index: usize) {
        let rules = &self.configuration.rules;
        let Miss { key, mut caller } = self.world.processes[process].missed.remove(index);
        if let ReadResult::TagUnknown(entry) = caller.read {
            let Some(read) = self.check_read(process, key, entry, caller) else { return };
            caller.read = read;
        }
        let process_state = &mut self.world.processes[process];
        let mut flights = process_state.flights.iter_mut();
        if let Some(flight) = flights.find(|flight| flight.is_joinable(key, rules)) {
            flight.callers.push(caller);
            return;
        }
        let index = process_state.flights.len();
        // `lead` sets the first step.
        let callers = vec![caller];
        let flight = Flight { key, open: true, callers, refreshes: None, step: Step::Waiting };
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
