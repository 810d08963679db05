//! A batch: one call that loads all keys.
//!
//! It asks for all leases in one pipeline, loads and stores what it was granted, and only then
//! waits for the keys of others. The parts of its pipelines are separate steps here.

use super::flight::{Flight, FlightId, Lease, Step};
use super::process::Process;
use crate::action::{Turn, View};
use crate::properties::Event;
use crate::variants::Batch;

impl View<'_> {
    /// Returns `true` if a batch may load a key whose lease it holds.
    pub(super) fn batch_may_load(self, batch: &Process) -> bool {
        let asks = |flight: &Flight| {
            matches!(flight.step, Step::Acquiring { .. } | Step::Capturing { .. })
        };
        let waits_first = self.configuration.rules.batch == Batch::WaitsBeforeStoring
            && batch.flights.iter().any(Flight::is_waiting);
        !waits_first && batch.missed.is_empty() && !batch.flights.iter().any(asks)
    }

    /// Returns `true` if a call may look for another's lease again. A batch may do so if it
    /// holds none itself.
    pub(super) fn batch_may_wait(self, process: usize) -> bool {
        let holds_none = || self.world.processes[process].flights.iter().all(Flight::is_waiting);
        !self.configuration.setup.processes[process].in_batches
            || self.configuration.rules.batch == Batch::WaitsBeforeStoring
            || holds_none()
    }
}

impl Turn<'_> {
    /// A call begins to load with its lease, a batch once all its requests are answered.
    pub(super) fn granted(&mut self, id: FlightId, lease: Lease) {
        if self.configuration.setup.processes[id.process].in_batches {
            self.flight_mut(id).step = Step::Granted { lease };
        } else {
            self.begin_load(id, Some(lease));
        }
    }

    pub(super) fn begin_in_batch(&mut self, id: FlightId) {
        let Step::Granted { lease } = self.flight_mut(id).step else { return };
        if self.world.processes[id.process].flights.iter().any(Flight::is_waiting) {
            self.met(Event::BatchWaited);
        }
        self.begin_load(id, Some(lease));
    }
}
