//! How a flight ends, and for whom: the rule of vouching.
//!
//! An answer of Redis vouches only for callers that were waiting when its request was sent.
//! What was loaded and not stored, an error too, is for those who came before the load
//! began. Callers that are left over stay together in the flight, and the first of them
//! leads it on.

use super::call::Caller;
use super::flight::{FlightId, Lease};
use crate::action::Turn;
use crate::properties::{Event, Property};
use crate::server::Version;
use crate::variants::{Rules, Sharing};

/// What a flight has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// ACQUIRE has found an entry.
    Found(Version),
    /// The load was stored, and the tag is unchanged.
    Stored(Version),
    /// The load was not stored, or nobody knows.
    Unstored(Version),
    /// The load failed, and the error tells of this version.
    Failed(Version),
}

impl Outcome {
    const fn version(self) -> Version {
        match self {
            Self::Found(version)
            | Self::Stored(version)
            | Self::Unstored(version)
            | Self::Failed(version) => version,
        }
    }

    const fn property(self) -> Property {
        match self {
            Self::Found(_) => Property::FreshEntries,
            Self::Stored(_) | Self::Unstored(_) | Self::Failed(_) => Property::FreshOutcomes,
        }
    }

    /// Says whether a caller may be given this.
    fn is_for(self, caller: Caller, rules: &Rules) -> bool {
        let breaks_the_rule = matches!(
            (rules.sharing, self),
            (Sharing::AnyFlight, _)
                | (Sharing::UnstoredToLateJoiners, Self::Unstored(_))
                | (Sharing::FailureToLateJoiners, Self::Failed(_))
        );
        breaks_the_rule || caller.came_before || matches!(self, Self::Stored(_))
    }
}

impl Turn<'_> {
    /// Gives the outcome to those it is for. The others go on, under the lease if there
    /// still is one.
    pub(crate) fn land(&mut self, id: FlightId, outcome: Outcome, lease: Option<Lease>) {
        let rules = &self.configuration.rules;
        let callers = std::mem::take(&mut self.flight_mut(id).callers);
        let (told, left): (Vec<_>, Vec<_>) =
            callers.into_iter().partition(|caller| outcome.is_for(*caller, rules));
        if told.iter().any(|caller| !caller.came_before) {
            self.met(Event::LateJoinerServed);
        }
        for caller in told {
            self.give(outcome.version(), caller.needs, outcome.property());
        }
        if left.is_empty() {
            lease.into_iter().for_each(|lease| self.give_up(id, lease.token));
            self.world.processes[id.process].flights.remove(id.index);
        } else {
            self.met(Event::LedOn);
            self.flight_mut(id).callers = left;
            self.lead_on(id, lease);
        }
    }

    /// Makes the caller that came first the leader.
    pub(crate) fn lead_on(&mut self, id: FlightId, lease: Option<Lease>) {
        match lease {
            Some(lease) => self.begin_load(id, Some(lease)),
            None => self.lead(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Protocol;
    use crate::client::call::Known;
    use crate::client::flight::{Flight, Step};
    use crate::configurations::{self, Configuration};
    use crate::server::Key;
    use crate::variants::PROTOCOL;
    use crate::world::World;

    fn caller(came_before: bool) -> Caller {
        Caller { needs: 0, known: Known::Missing, came_before }
    }

    #[test]
    fn callers_that_are_left_over_lead_the_flight_on_together() {
        let protocol = Protocol::new(configurations::all()[0].clone());
        let mut world = World::new(&protocol.configuration);
        let callers = vec![caller(true), caller(false), caller(false)];
        let step = Step::Loading { lease: None, loaded: Some(0) };
        world.processes[0].flights.push(Flight { key: Key(0), open: false, callers, step });
        let Protocol { configuration, coverage } = &protocol;
        let configuration = &Configuration { rules: PROTOCOL, ..configuration.clone() };
        let id = FlightId { process: 0, index: 0 };
        let mut turn = Turn { configuration, coverage, world: &mut world };
        turn.land(id, Outcome::Unstored(0), None);

        let flight = &world.processes[0].flights[0];
        assert_eq!(flight.callers, [caller(true), caller(true)]);
        assert!(matches!(flight.step, Step::Asking { .. }));
    }

    #[test]
    fn only_what_was_stored_is_for_late_joiners() {
        let late = caller(false);
        assert!(Outcome::Stored(0).is_for(late, &PROTOCOL));
        for outcome in [Outcome::Found(0), Outcome::Unstored(0), Outcome::Failed(0)] {
            assert!(!outcome.is_for(late, &PROTOCOL));
            assert!(outcome.is_for(caller(true), &PROTOCOL));
        }
    }

    #[test]
    fn each_broken_sharing_breaks_its_own_rule() {
        let late = caller(false);
        let unstored = Rules { sharing: Sharing::UnstoredToLateJoiners, ..PROTOCOL };
        assert!(Outcome::Unstored(0).is_for(late, &unstored));
        assert!(!Outcome::Failed(0).is_for(late, &unstored));
        let any = Rules { sharing: Sharing::AnyFlight, ..PROTOCOL };
        assert!(Outcome::Found(0).is_for(late, &any));
    }
}
