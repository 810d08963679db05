//! A refresh: a fill in the background, after a call was given a soft-expired entry.
//!
//! It is a flight without callers, which nobody may join, and it waits for nobody. A process
//! refreshes a key once at a time.

use super::flight::{Flight, FlightId, Step};
use crate::action::Turn;
use crate::configurations::Stale;
use crate::entry::Entry;
use crate::properties::Event;
use crate::server::Key;

impl Turn<'_> {
    /// Refreshes an entry that was given to a caller, if it is soft-expired.
    pub(super) fn refresh_if_due(&mut self, process: usize, key: Key, entry: Entry) {
        if !entry.is_soft_expired() || self.configuration.setup.stale != Stale::Served {
            return;
        }
        self.met(Event::StaleServed);
        let flights = &mut self.world.processes[process].flights;
        if flights.iter().any(|flight| flight.key == key && flight.refreshes.is_some()) {
            return;
        }
        let index = flights.len();
        let (refreshes, step) = (Some(entry), Step::Waiting);
        flights.push(Flight { key, open: false, callers: Vec::new(), refreshes, step });
        self.acquire(FlightId { process, index });
    }

    pub(super) fn drop_refresh(&mut self, id: FlightId) {
        self.met(Event::RefreshDropped);
        self.world.processes[id.process].flights.remove(id.index);
    }
}
