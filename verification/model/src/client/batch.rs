//! A batch: one call that loads all keys.
//!
//! It asks for all leases in one pipeline, loads and stores what it was granted, and only then
//! waits for the keys of others. Before it loads, it leaves the flights that it has joined, and
//! comes back to their keys at the end.

use super::call::{Caller, Miss};
use super::flight::{Flight, FlightId, Lease, Step};
use super::process::Process;
use crate::action::{Turn, View};
use crate::properties::Event;
use crate::variants::Batch;

/// Returns the flights that the batch leads.
fn led(process: &Process) -> impl Iterator<Item = &Flight> {
    process.flights.iter().filter(|flight| flight.is_of_batch())
}

impl View<'_> {
    /// Returns `true` if a batch may arrive at the flights of its keys. They arrive together.
    pub(super) fn batch_may_arrive(self, batch: &Process, index: usize) -> bool {
        let first = batch.missed.iter().position(|miss| miss.caller.in_batch);
        first == Some(index) && led(batch).next().is_none()
    }

    /// Returns `true` if a batch may load a key whose lease it holds.
    pub(super) fn batch_may_load(self, batch: &Process, handed: bool) -> bool {
        let asks = |flight: &Flight| {
            matches!(flight.step, Step::Acquiring { .. } | Step::Capturing { .. })
        };
        let waits_first = handed || self.configuration.rules.batch == Batch::WaitsBeforeStoring;
        let waits = waits_first && led(batch).any(Flight::is_waiting);
        !waits && !led(batch).any(asks)
    }

    /// Returns `true` if a call may look for another's lease again. A batch may do so if it
    /// holds none itself.
    pub(super) fn batch_may_wait(self, process: &Process, flight: &Flight) -> bool {
        !flight.is_of_batch()
            || self.configuration.rules.batch != Batch::StoresBeforeWaiting
            || led(process).all(Flight::is_waiting)
    }
}

impl Turn<'_> {
    pub(super) fn arrive_in_batch(&mut self, process: usize) {
        let next = |process: &Process| process.missed.iter().position(|miss| miss.caller.in_batch);
        while let Some(index) = next(&self.world.processes[process]) {
            self.arrive(process, index);
        }
    }

    /// A call begins to load with its lease, a batch once all its requests are answered.
    pub(super) fn granted(&mut self, id: FlightId, lease: Lease) {
        if self.flight_mut(id).is_of_batch() {
            self.flight_mut(id).step = Step::Granted { lease, handed: false };
        } else {
            self.begin_load(id, Some(lease));
        }
    }

    pub(super) fn begin_in_batch(&mut self, id: FlightId) {
        let Step::Granted { lease, .. } = self.flight_mut(id).step else { return };
        if led(&self.world.processes[id.process]).any(Flight::is_waiting) {
            self.met(Event::BatchWaited);
        }
        if self.configuration.rules.batch == Batch::StoresBeforeWaiting {
            self.leave_joined_flights(id.process);
        }
        self.begin_load(id, Some(lease));
    }

    /// A leader that is cancelled must not leave its lease to a batch that is busy.
    fn leave_joined_flights(&mut self, process: usize) {
        let Process { flights, missed, .. } = &mut self.world.processes[process];
        let mut has_left = false;
        for flight in flights.iter_mut().filter(|flight| !flight.is_of_batch()) {
            let key = flight.key;
            for caller in flight.callers.extract_if(.., |caller| caller.in_batch) {
                let caller = Caller { in_batch: true, ..Caller::new(caller.needs, caller.read) };
                missed.push(Miss { key, caller });
                has_left = true;
            }
        }
        missed.sort_unstable();
        if has_left {
            self.met(Event::BatchLeft);
        }
    }
}
