//! The outcome of a flight, and the callers that receive it: the freshness rule.
//!
//! An answer of Redis is valid only for callers that were waiting when its request was sent. A
//! value that was not stored, or an error, is valid only for callers that came before the load
//! began. The remaining callers stay together in the flight, and the first of them leads it
//! on.

use super::call::Caller;
use super::flight::{FlightId, Lease};
use crate::action::Turn;
use crate::configurations::Backoff;
use crate::properties::{Event, Property};
use crate::request::Request;
use crate::server::Version;
use crate::variants::{AfterError, Rules, Sharing};

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
    /// The load failed, and a read that was sent then has found an entry.
    ReadAgain { version: Version, error: Version },
    /// Wrong (n41): the load failed, and the leader's first read had found an entry.
    FirstRead { version: Version, error: Version },
}

impl Outcome {
    const fn version(self) -> Version {
        match self {
            Self::Found(version)
            | Self::Stored(version)
            | Self::Unstored(version)
            | Self::Failed(version)
            | Self::ReadAgain { version, .. }
            | Self::FirstRead { version, .. } => version,
        }
    }

    /// Returns the error of a load that failed.
    const fn error(self) -> Option<Version> {
        match self {
            Self::Failed(error) | Self::ReadAgain { error, .. } | Self::FirstRead { error, .. } => {
                Some(error)
            }
            Self::Found(_) | Self::Stored(_) | Self::Unstored(_) => None,
        }
    }

    const fn property(self) -> Property {
        match self {
            Self::Found(_) | Self::ReadAgain { .. } => Property::FreshEntries,
            Self::Stored(_) | Self::Unstored(_) | Self::Failed(_) | Self::FirstRead { .. } => {
                Property::FreshOutcomes
            }
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
        let joined_in_time = match self {
            Self::Stored(_) => true,
            Self::ReadAgain { .. } => {
                caller.reads_again || rules.after_error == AfterError::ReadSharedWithAll
            }
            _ => caller.joined_before,
        };
        breaks_the_rule || joined_in_time
    }
}

impl Turn<'_> {
    /// Answers the callers that may receive the outcome. The others continue, with the lease
    /// if it is still held.
    pub(crate) fn complete(&mut self, id: FlightId, outcome: Outcome, lease: Option<Lease>) {
        let rules = &self.configuration.rules;
        let callers = std::mem::take(&mut self.flight_mut(id).callers);
        let (key, tag) = (self.flight_mut(id).key, self.flight_mut(id).step.tag());
        let may_lag = self.configuration.setup.lags || self.reads_part_nearby(id.process, key);
        let (served, remaining): (Vec<_>, Vec<_>) =
            callers.into_iter().partition(|caller| outcome.is_for(*caller, rules));
        let event = match outcome {
            Outcome::ReadAgain { .. } => Event::ReadShared,
            _ => Event::LateJoinerServed,
        };
        if served.iter().any(|caller| !caller.joined_before) {
            self.met(event);
        }
        if matches!(outcome, Outcome::ReadAgain { .. }) {
            self.met(Event::ReadAgain);
        }
        for (index, caller) in served.into_iter().enumerate() {
            // What a loader reads from a lagging replica, or from the near tier, may be old for
            // its own caller, and for those that came before it began.
            let own_load = matches!(outcome, Outcome::Unstored(_) | Outcome::Failed(_));
            if may_lag && own_load && caller.joined_before {
                continue;
            }
            self.answer(outcome.version(), caller.needs, outcome.property());
            match outcome {
                Outcome::Stored(loaded) | Outcome::Unstored(loaded) if index == 0 => {
                    self.give_part(id.process, caller, loaded, tag);
                }
                _ => self.share_part(id.process, caller, outcome.version()),
            }
        }
        if remaining.is_empty() {
            match (lease.map(|lease| lease.token), outcome.error()) {
                (Some(token), Some(version))
                    if self.configuration.setup.backoff != Backoff::None =>
                {
                    self.world.push_late(Request::Fail { key, token, version });
                }
                (Some(token), _) => self.release(id, token),
                (None, _) => {}
            }
            self.world.processes[id.process].flights.remove(id.index);
        } else {
            self.met(Event::LedOn);
            let flight = self.flight_mut(id);
            flight.callers = remaining;
            flight.callers.iter_mut().for_each(|caller| caller.reads_again = false);
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
        Caller { joined_before, ..Caller::new(0, ReadResult::Missing) }
    }

    #[test]
    fn remaining_callers_lead_on_together() {
        let protocol = Protocol::new(configurations::all()[0].clone());
        let mut world = World::new(&protocol.configuration);
        let callers = vec![caller(true), caller(false), caller(false)];
        let step = Step::Loading { lease: None, loaded: Some(0), tag_before: None };
        world.processes[0].flights.push(Flight {
            key: Key(0),
            open: false,
            callers,
            refreshes: None,
            step,
        });
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
