//! Soft-expired entries in place of an error, or of a slow load.
//!
//! A caller reads the key again, and is given what it finds if that is a hit. It shares the read
//! with those that were waiting when it was sent.

use super::call::Caller;
use super::flight::{FlightId, Lease, Step, Wire};
use super::outcome::Outcome;
use crate::action::Turn;
use crate::configurations::{Backoff, Stale};
use crate::entry::Entry;
use crate::properties::{Event, Property};
use crate::request::Request;
use crate::server::{TagVersion, Version};
use crate::variants::AfterError;

impl Turn<'_> {
    /// The load has failed.
    pub(super) fn fail_with(&mut self, id: FlightId, lease: Option<Lease>, error: Version) {
        let first_read = self.configuration.rules.after_error == AfterError::FirstRead;
        let is_stale_allowed = self.configuration.setup.stale == Stale::LoadedFirst;
        let flight = self.flight_mut(id);
        match flight.previous() {
            _ if flight.callers.is_empty() || !is_stale_allowed => {}
            Some(previous) if first_read => {
                let outcome = Outcome::FirstRead { version: previous.version, error };
                return self.complete(id, outcome, lease);
            }
            _ => {
                flight.callers.iter_mut().for_each(|caller| caller.reads_again = true);
                let wire = Wire::Sent(Request::Read { key: flight.key });
                flight.step = Step::Rereading { lease, error, wire };
                return;
            }
        }
        self.complete(id, Outcome::Failed(error), lease);
    }

    pub(super) fn reread(
        &mut self,
        id: FlightId,
        (lease, error): (Option<Lease>, Version),
        entry: Option<Entry>,
        tag: Option<TagVersion>,
    ) {
        let ignores_tag = self.configuration.rules.after_error == AfterError::IgnoresTag;
        let hit = entry.filter(|entry| ignores_tag || self.configuration.is_usable(*entry, tag));
        let outcome = match hit {
            Some(Entry { version, .. }) => Outcome::ReadAgain { version, error },
            None => Outcome::Failed(error),
        };
        self.complete(id, outcome, lease);
    }

    /// The load is slow. Callers that have found a soft-expired entry read again, at once; the
    /// load goes on, with or without a caller.
    pub(super) fn soft_time_out(&mut self, id: FlightId) {
        self.world.left.soft_timeouts -= 1;
        let flight = self.flight_mut(id);
        let key = flight.key;
        let Some(entry) = self.world.server.slots[key].entry else { return };
        if !self.configuration.is_usable(entry, self.world.server.tag) {
            return;
        }
        let callers = std::mem::take(&mut self.flight_mut(id).callers);
        let (leaving, waiting): (Vec<_>, Vec<_>) =
            callers.into_iter().partition(|caller| caller.read.soft_expired().is_some());
        self.flight_mut(id).callers = waiting;
        for caller in leaving {
            self.met(Event::ReadAgain);
            self.answer(entry.version, caller.needs, Property::FreshEntries);
        }
    }

    /// ACQUIRE has met the mark of a failed load. A caller with a soft-expired entry returns
    /// that.
    pub(super) fn meet_failure(&mut self, id: FlightId, error: Version) {
        let callers = std::mem::take(&mut self.flight_mut(id).callers);
        for caller in &callers {
            if let Some(entry) = caller.read.soft_expired() {
                self.met(Event::StaleServed);
                self.answer(entry.version, caller.needs, Property::FreshEntries);
            }
        }
        let has_nothing = |caller: &Caller| caller.read.soft_expired().is_none();
        let others: Vec<_> = callers.into_iter().filter(has_nothing).collect();
        if others.is_empty() {
            self.world.processes[id.process].flights.remove(id.index);
            return;
        }
        self.flight_mut(id).callers = others;
        if self.configuration.setup.backoff == Backoff::LoadUnstored {
            self.begin_load(id, None);
        } else {
            self.met(Event::FailedFast);
            self.complete(id, Outcome::Failed(error), None);
        }
    }
}
