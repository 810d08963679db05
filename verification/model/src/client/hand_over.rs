//! Hand-over: after a leader is cancelled or lost, the caller that has waited longest leads.

use super::flight::{Flight, FlightId, Step};
use crate::action::Turn;
use crate::properties::Event;
use crate::variants::{Batch, Successor};

impl Turn<'_> {
    pub(crate) fn cancel(&mut self, id: FlightId) {
        self.world.left.cancellations -= 1;
        let flight = self.flight_mut(id);
        flight.callers.remove(0);
        let (key, continues_without_leader) = (flight.key, flight.continues_without_leader());
        let no_callers = flight.callers.is_empty();
        self.allow_load(key);
        if continues_without_leader {
            return;
        }
        if no_callers {
            self.abandon_request(id);
            self.world.processes[id.process].flights.remove(id.index);
        } else {
            self.met(Event::HandedOver);
            self.hand_over(id);
        }
    }

    /// The leader goes on by itself, sooner or later, and ends no flight but its own. Its lease
    /// is released, and its successor asks for another one.
    pub(crate) fn lose(&mut self, id: FlightId) {
        self.world.left.losses -= 1;
        let successor = self.configuration.rules.successor;
        let flight = self.flight_mut(id);
        let (key, step, token) = (flight.key, flight.step, flight.step.token());
        let leader = flight.callers.remove(0);
        let lost = Flight { key, open: false, callers: vec![leader], refreshes: None, step };
        self.allow_load(key);
        self.met(Event::Lost);
        self.world.processes[id.process].flights.push(lost);
        if let (Step::Loading { loaded: Some(_), .. }, Successor::KeepsLoad) = (step, successor) {
            self.flight_mut(id).callers[0].joined_before = true;
            return;
        }
        token.into_iter().for_each(|token| self.release(id, token));
        self.lead(id);
    }

    fn hand_over(&mut self, id: FlightId) {
        let successor = self.configuration.rules.successor;
        match (self.flight_mut(id).step, successor) {
            (Step::Acquiring { .. }, Successor::AwaitsAnswer) => {}
            (Step::Acquiring { .. }, Successor::TrustsAnswer)
            | (Step::Loading { loaded: Some(_), .. }, Successor::KeepsLoad) => {
                self.flight_mut(id).callers[0].joined_before = true;
            }
            (Step::Acquiring { .. }, _) => {
                self.abandon_request(id);
                self.lead(id);
            }
            // The rule that n52 breaks.
            (Step::Loading { lease: Some(lease), .. }, _)
                if self.flight_mut(id).is_of_batch()
                    && self.configuration.rules.batch == Batch::StaysJoined =>
            {
                self.flight_mut(id).step = Step::Granted { lease, handed: true };
            }
            // The value that the old leader has read is discarded.
            (Step::Loading { lease, .. }, _) => self.lead_on(id, lease),
            // A CAPTURE that was sent before the successor came is still before its load.
            _ => {}
        }
    }

    /// Abandons the request in flight, followed by a RELEASE for a lease it may have been
    /// granted.
    fn abandon_request(&mut self, id: FlightId) {
        let flight = self.flight_mut(id);
        let (request, token) = (flight.request_in_flight(), flight.step.token());
        request.into_iter().for_each(|request| self.world.push_late(request));
        token.into_iter().for_each(|token| self.release(id, token));
    }
}
