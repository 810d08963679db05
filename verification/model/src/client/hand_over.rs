//! A leader is cancelled: the caller that has waited longest takes its place.

use super::flight::{FlightId, Step};
use crate::action::Turn;
use crate::properties::Event;
use crate::variants::Heir;

impl Turn<'_> {
    pub(crate) fn cancel(&mut self, id: FlightId) {
        self.world.left.cancellations -= 1;
        let flight = self.flight_mut(id);
        flight.callers.remove(0);
        let (key, ends_by_itself) = (flight.key, flight.ends_by_itself());
        let nobody_waits = flight.callers.is_empty();
        self.excuse_load(key);
        if ends_by_itself {
            return;
        }
        if nobody_waits {
            self.abandon_request(id);
            self.world.processes[id.process].flights.remove(id.index);
        } else {
            self.met(Event::HandedOver);
            self.hand_over(id);
        }
    }

    fn hand_over(&mut self, id: FlightId) {
        let heir = self.configuration.rules.heir;
        match (self.flight_mut(id).step, heir) {
            (Step::Asking { .. }, Heir::AwaitsAnswer) => {}
            (Step::Asking { .. }, Heir::TrustsAnswer)
            | (Step::Loading { loaded: Some(_), .. }, Heir::KeepsLoad) => {
                self.flight_mut(id).callers[0].came_before = true;
            }
            (Step::Asking { .. }, _) => {
                self.abandon_request(id);
                self.lead(id);
            }
            // The old leader's read is thrown away with its loader.
            (Step::Loading { lease, .. }, _) => self.lead_on(id, lease),
            // A capture that was sent before the heir came is before its load all the same.
            _ => {}
        }
    }

    /// Leaves what is under way behind, with a RELEASE for what it may have brought.
    fn abandon_request(&mut self, id: FlightId) {
        let flight = self.flight_mut(id);
        let (request, token) = (flight.request_under_way(), flight.step.token());
        request.into_iter().for_each(|request| self.world.leave_behind(request));
        token.into_iter().for_each(|token| self.give_up(id, token));
    }
}
