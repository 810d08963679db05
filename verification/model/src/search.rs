//! Runs the checker over a configuration.

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::action::Protocol;
use crate::configurations::{Configuration, Expected};
use crate::properties::{Event, Property};
use crate::trace::Violation;

/// The limit at which a search gives up without a result.
const MOST_STATES: usize = 60_000_000;

/// The result of a search.
#[derive(Debug)]
pub(crate) struct SearchResult {
    pub(crate) violation: Option<Violation>,
    /// The number of states when the search ended.
    pub(crate) unique_states: usize,
    pub(crate) depth: usize,
    /// The required events that the search never reached.
    pub(crate) missed: Vec<Event>,
    pub(crate) exhausted: bool,
    pub(crate) duration: Duration,
}

/// Searches a configuration until the expected violation or, if none is expected, any
/// violation.
pub(crate) fn run(configuration: &Configuration) -> SearchResult {
    #[expect(clippy::disallowed_methods, reason = "measures the checker, not the cache")]
    let begin = Instant::now();
    let mut found = search(configuration, None);
    // The checker works in blocks, and may continue past the shortest path.
    while let Some(violation) = &found.violation {
        match search(configuration, Some(violation.steps())).violation {
            Some(shorter) if shorter.property == violation.property => {
                found.violation = Some(shorter);
            }
            _ => break,
        }
    }
    SearchResult { duration: begin.elapsed(), ..found }
}

/// Searches once, for paths of fewer steps than `fewer_than` if it is given.
fn search(configuration: &Configuration, fewer_than: Option<usize>) -> SearchResult {
    let wanted = configuration.expected.property().map(Property::name);
    let checker =
        Protocol::new(configuration.clone())
            .checker()
            .threads(threads_for(configuration.expected))
            .target_state_count(MOST_STATES)
            // The depth counts states, one more than steps; 0 is no limit.
            .target_max_depth(fewer_than.map_or(0, |steps| steps + 1))
            .finish_when(wanted.map_or(HasDiscoveries::AnyFailures, |wanted| {
                HasDiscoveries::AnyOf([wanted].into())
            }))
            .spawn_bfs()
            .join();
    let writers = configuration.setup.writers;
    let coverage = &checker.model().coverage;
    let reaches = configuration.reaches.iter().copied();
    SearchResult {
        violation: checker
            .discoveries()
            .into_iter()
            .map(|(property, path)| Violation::new(property, path, writers))
            .min_by_key(|violation| (wanted != Some(violation.property), violation.steps())),
        unique_states: checker.unique_state_count(),
        depth: checker.max_depth(),
        missed: reaches.filter(|event| !coverage.has_met(*event)).collect(),
        exhausted: checker.state_count() < MOST_STATES,
        duration: Duration::ZERO,
    }
}

/// Returns 1 for expected violations, so that they are the same every time.
fn threads_for(expected: Expected) -> usize {
    match expected {
        Expected::Holds => std::thread::available_parallelism().map_or(1, usize::from),
        Expected::Violates(_) => 1,
    }
}

impl SearchResult {
    pub(crate) fn matches(&self, expected: Expected) -> bool {
        let violated = self.violation.as_ref().map(|violation| violation.property);
        let wanted = expected.property().map(|property| property.name());
        violated == wanted && self.missed.is_empty() && (violated.is_some() || self.exhausted)
    }

    /// Describes the result.
    pub(crate) fn summary(&self) -> String {
        match &self.violation {
            Some(violation) => format!("violates {}", violation.property),
            None if !self.exhausted => "gave up".to_owned(),
            None if !self.missed.is_empty() => format!("holds, but never met {:?}", self.missed),
            None => "holds".to_owned(),
        }
    }

    /// Returns the length of the path to the violation, or the depth of the whole space.
    pub(crate) fn steps(&self) -> usize {
        self.violation.as_ref().map_or(self.depth, Violation::steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configurations;
    use crate::variants::PROTOCOL;

    /// A control fails because of the broken rule and nothing else.
    #[test]
    fn control_without_broken_rule_holds() {
        let quick = configurations::all().into_iter().filter(|one| one.quick);
        let broken = quick.filter(|one| one.rules != PROTOCOL);
        let controls = broken.filter(|one| one.expected != Expected::Holds);
        for control in controls {
            let name = control.name;
            let kept = Configuration { rules: PROTOCOL, expected: Expected::Holds, ..control };
            let found = run(&kept);
            assert!(found.matches(Expected::Holds), "{name}: {}", found.summary());
        }
    }
}
