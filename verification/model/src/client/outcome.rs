//! The outcome of a flight, and the callers that receive it: the freshness rule.
//!
//! An answer of Redis is valid only for callers that were waiting when its request was sent. A
//! value that was not stored, or an error, is valid only for callers that came before the load
//! began. The remaining callers stay together in the flight, and the first of them leads it
//! on.

use super::call::Caller;
use super::flight::{FlightId, Lease};
use crate::action::Turn;
use crate::properties::{Event, Property};
use crate::server::Version;
use crate::variants::{Rules, Sharing};

/// The outcome of a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// ACQUIRE returned an entry.
    Found(Version),
    /// The load was stored, and the tag is unchanged.
    Stored(Version),
    /// The load was not stored, or this is unknown.
    Unstored(Version),
    /// The load failed, with an error that depends on this version.
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

    /// Returns `true` if the caller may receive this outcome.
    fn is_for(self, caller: Caller, rules: &Rules) -> bool {
        let breaks_the_rule = matches!(
            (rules.sharing, self),
            (Sharing::AnyFlight, _)
                | (Sharing::UnstoredToLateJoiners, Self::Unstored(_))
                | (Sharing::FailureToLateJoiners, Self::Failed(_))
        );
        breaks_the_rule || caller.joined_before || matches!(self, Self::Stored(_))
    }
}

impl Turn<'_> {
    /// Answers the callers that may receive the outcome. The others continue, with the lease
    /// if it is still held.
    pub(crate) fn complete(&mut self, id: FlightId, outcome: Outcome, lease: Option<Lease>) {
        let rules = &self.configuration.rules;
        let callers = std::mem::take(&mut self.flight_mut(id).callers);
        let (served, remaining): (Vec<_>, Vec<_>) =
            callers.into_iter().partition(|caller| outcome.is_for(*caller, rules));
        if served.iter().any(|caller| !caller.joined_before) {
            self.met(Event::LateJoinerServed);
        }
        for caller in served {
            self.answer(outcome.version(), caller.needs, outcome.property());
        }
        if remaining.is_empty() {
            lease.into_iter().for_each(|lease| self.release(id, lease.token));
            self.world.processes[id.process].flights.remove(id.index);
        } else {
            self.met(Event::LedOn);
            self.flight_mut(id).callers = remaining;
            self.lead_on(id, lease);
        }
    }

    /// Continues the flight, led by the first of the remaining callers.
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
    use crate::client::call::ReadResult;
    use crate::client::flight::{Flight, Step};
    use crate::configurations::{self, Configuration};
    use crate::server::Key;
    use crate::variants::PROTOCOL;
    use crate::world::World;

    fn caller(joined_before: bool) -> Caller {
        Caller { needs: 0, read: ReadResult::Missing, joined_before }
    }

    #[test]
    fn remaining_callers_lead_on_together() {
        let protocol = Protocol::new(configurations::all()[0].clone());
        let mut world = World::new(&protocol.configuration);
        let callers = vec![caller(true), caller(false), caller(false)];
        let step = Step::Loading { lease: None, loaded: Some(0) };
        world.processes[0].flights.push(Flight { key: Key(0), open: false, callers, step });
        let Protocol { configuration, coverage } = &protocol;
        let configuration = &Configuration { rules: PROTOCOL, ..configuration.clone() };
        let id = FlightId { process: 0, index: 0 };
        let mut turn = Turn { configuration, coverage, world: &mut world };
        turn.complete(id, Outcome::Unstored(0), None);

        let flight = &world.processes[0].flights[0];
        assert_eq!(flight.callers, [caller(true), caller(true)]);
        assert!(matches!(flight.step, Step::Acquiring { .. }));
    }

    #[test]
    fn late_joiners_get_stored_values_only() {
        let late = caller(false);
        assert!(Outcome::Stored(0).is_for(late, &PROTOCOL));
        for outcome in [Outcome::Found(0), Outcome::Unstored(0), Outcome::Failed(0)] {
            assert!(!outcome.is_for(late, &PROTOCOL));
            assert!(outcome.is_for(caller(true), &PROTOCOL));
        }
    }

    #[test]
    fn each_sharing_breaks_one_rule() {
        let late = caller(false);
        let unstored = Rules { sharing: Sharing::UnstoredToLateJoiners, ..PROTOCOL };
        assert!(Outcome::Unstored(0).is_for(late, &unstored));
        assert!(!Outcome::Failed(0).is_for(late, &unstored));
        let any = Rules { sharing: Sharing::AnyFlight, ..PROTOCOL };
        assert!(Outcome::Found(0).is_for(late, &any));
    }
}
