//! The seeds of a run, and the report of a failing seed.

use std::ops::Range;

use hotshelf_testkit::simulation::Overlaps;

use super::mutants::Mutant;
use super::scenario::Scenario;
use super::world::{Outcome, run};

/// Runs a single seed and prints its history: `HOTSHELF_SEED=17`.
const SEED: &str = "HOTSHELF_SEED";

/// Runs this number of seeds: `HOTSHELF_SEEDS=100000`.
const SEEDS: &str = "HOTSHELF_SEEDS";

/// Returns the seeds of a test, from the environment or as many as in CI.
pub(crate) fn seeds(usual: u64) -> Range<u64> {
    match (number(SEED), number(SEEDS)) {
        (Some(seed), _) => seed..seed + 1,
        (None, seeds) => 0..seeds.unwrap_or(usual),
    }
}

/// Returns `true` if a single seed is replayed.
pub(crate) fn is_replay() -> bool {
    number(SEED).is_some()
}

#[expect(clippy::disallowed_methods, reason = "a test reads the environment")]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("invalid {name}={text:?}: use a number")))
}

/// Runs a scenario, checks its guarantees, and returns its outcome.
pub(crate) fn hold(scenario: Scenario, overlaps: &Overlaps) -> Outcome {
    let announced = Announced(scenario.seed);
    let outcome = run(scenario.clone(), None, is_replay());
    overlaps.absorb(&outcome.overlaps);
    if is_replay() {
        show(&format!("{scenario:?}\n{}", outcome.history));
    }
    if outcome.violation.is_some() {
        let seed = scenario.seed;
        // The same run again, with a detailed history of the server.
        let violation = run(scenario, None, true).violation.unwrap();
        panic!("seed {seed} failed, replay it with {SEED}={seed}: {violation}");
    }
    drop(announced);
    outcome
}

/// Returns the first seed that catches a mutant.
pub(crate) fn first_caught(
    mutant: Mutant,
    seeds: u64,
    scenario: impl Fn(u64) -> Scenario,
) -> Option<u64> {
    (0..seeds).find(|&seed| run(scenario(seed), Some(mutant), false).violation.is_some())
}

/// Prints directly to stderr, since the test runner captures the output of passing tests.
pub(crate) fn show(text: &str) {
    use std::io::Write;

    let mut output = std::io::stderr().lock();
    // The output is optional.
    let _ = writeln!(output, "{text}");
}

/// Names the seed if a run panics.
struct Announced(u64);

impl Drop for Announced {
    fn drop(&mut self) {
        if std::thread::panicking() {
            show(&format!("seed {seed} failed: replay it with {SEED}={seed}", seed = self.0));
        }
    }
}
