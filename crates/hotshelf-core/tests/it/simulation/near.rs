//! Processes with near tiers: what they answer, and for how long.

use hotshelf_testkit::simulation::{Overlap, Overlaps};

use super::mutants::Mutant;
use super::scenario::Scenario;
use super::seeds::{first_caught, hold, is_replay, seeds, show};

/// The number of seeds.
const STORMS: u64 = 200;

/// A hit in a near tier reflects the invalidations of its own process, and those of others that
/// had returned `max_staleness` earlier. Other calls are given nothing invalidated.
#[test]
fn near_hits_stay_within_the_bound() {
    let overlaps = Overlaps::default();
    for seed in seeds(STORMS) {
        let outcome = hold(Scenario::near(seed), &overlaps);
        assert_eq!(outcome.near_hits, outcome.stats.near_hits, "seed {seed}");
    }
    show(&format!("near tiers:\n{overlaps}"));
    let missed: Vec<Overlap> =
        Overlap::NEAR.into_iter().filter(|overlap| overlaps.get(*overlap) < STORMS / 4).collect();
    assert!(is_replay() || missed.is_empty(), "too few occurrences of {missed:?}");
}

#[test]
fn mutants_of_near_tiers_are_caught() {
    for mutant in Mutant::NEAR {
        // The rarest of them shows in one of 200 seeds.
        let caught = first_caught(mutant, 4 * STORMS, Scenario::near);
        let seed = caught.unwrap_or_else(|| panic!("mutant {mutant:?} is not caught"));
        show(&format!("mutant {mutant:?} is caught by seed {seed}"));
    }
}

#[test]
fn same_seed_repeats_the_run() {
    for seed in 0..10 {
        let history = || super::run(Scenario::near(seed), None, true).history.to_string();
        assert_eq!(history(), history(), "seed {seed}");
    }
}
