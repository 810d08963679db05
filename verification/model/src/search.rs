//! Runs the checker over a configuration.

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::action::Protocol;
use crate::configurations::{Configuration, Expected};
use crate::properties::{Event, Property};
use crate::trace::Violation;

/// Where a search gives up: a configuration that needs more proves nothing here.
const MOST_STATES: usize = 60_000_000;

/// What a search has found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) violation: Option<Violation>,
    /// Up to where the search ended.
    pub(crate) unique_states: usize,
    pub(crate) depth: usize,
    /// What the configuration is about and the search never met.
    pub(crate) missed: Vec<Event>,
    pub(crate) exhausted: bool,
    pub(crate) took: Duration,
}

/// Searches a configuration, up to the violation that it expects or, where it expects none,
/// to any.
pub(crate) fn run(configuration: &Configuration) -> Found {
    #[expect(clippy::disallowed_methods, reason = "measures the checker, not the cache")]
    let begin = Instant::now();
    let mut found = search(configuration, None);
    // The checker works in blocks, in which it goes on past the shortest way.
    while let Some(violation) = &found.violation {
        match search(configuration, Some(violation.steps())).violation {
            Some(shorter) if shorter.property == violation.property => {
                found.violation = Some(shorter);
            }
            _ => break,
        }
    }
    Found { took: begin.elapsed(), ..found }
}

/// Searches once, for ways of fewer steps than this if it is given.
fn search(configuration: &Configuration, fewer_than: Option<usize>) -> Found {
    let wanted = configuration.expected.property().map(Property::name);
    let checker =
        Protocol::new(configuration.clone())
            .checker()
            .threads(threads_for(configuration.expected))
            .target_state_count(MOST_STATES)
            // It counts states, of which a way has one more than steps; zero is no limit.
            .target_max_depth(fewer_than.map_or(0, |steps| steps + 1))
            .finish_when(wanted.map_or(HasDiscoveries::AnyFailures, |wanted| {
                HasDiscoveries::AnyOf([wanted].into())
            }))
            .spawn_bfs()
            .join();
    let writers = configuration.setup.writers;
    let coverage = &checker.model().coverage;
    let reaches = configuration.reaches.iter().copied();
    Found {
        violation: checker
            .discoveries()
            .into_iter()
            .map(|(property, path)| Violation::new(property, path, writers))
            .min_by_key(|violation| (wanted != Some(violation.property), violation.steps())),
        unique_states: checker.unique_state_count(),
        depth: checker.max_depth(),
        missed: reaches.filter(|event| !coverage.has_met(*event)).collect(),
        exhausted: checker.state_count() < MOST_STATES,
        took: Duration::ZERO,
    }
}

/// On one thread, the violations that are expected are the same ones every time.
fn threads_for(expected: Expected) -> usize {
    match expected {
        Expected::Holds => std::thread::available_parallelism().map_or(1, usize::from),
        Expected::Violates(_) => 1,
    }
}

impl Found {
    pub(crate) fn is_as(&self, expected: Expected) -> bool {
        let violated = self.violation.as_ref().map(|violation| violation.property);
        let wanted = expected.property().map(|property| property.name());
        violated == wanted && self.missed.is_empty() && (violated.is_some() || self.exhausted)
    }

    /// Says in words what was found.
    pub(crate) fn summary(&self) -> String {
        match &self.violation {
            Some(violation) => format!("violates {}", violation.property),
            None if !self.exhausted => "gave up".to_owned(),
            None if !self.missed.is_empty() => format!("holds, but never met {:?}", self.missed),
            None => "holds".to_owned(),
        }
    }

    /// Gives the length of the way to the violation, or the depth of the whole space.
    pub(crate) fn steps(&self) -> usize {
        self.violation.as_ref().map_or(self.depth, Violation::steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configurations;
    use crate::variants::PROTOCOL;

    /// It is the broken rule and nothing else that makes a control fail.
    #[test]
    fn a_control_whose_rule_is_kept_holds() {
        let broken = configurations::all().into_iter().filter(|one| one.rules != PROTOCOL);
        let controls = broken.filter(|one| one.expected != Expected::Holds);
        for control in controls {
            let name = control.name;
            let kept = Configuration { rules: PROTOCOL, expected: Expected::Holds, ..control };
            let found = run(&kept);
            assert!(found.is_as(Expected::Holds), "{name}: {}", found.summary());
        }
    }
}
