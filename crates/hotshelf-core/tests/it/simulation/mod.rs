//! The engine in a simulated world: processes that crash and pause, a network that loses,
//! delays and repeats messages, and a server that evicts keys and whose clock jumps.
//!
//! Under all faults, no caller gets a value that was invalidated before its call; and without
//! faults, no key is loaded twice unnecessarily. Mutants of the backend, each of which breaks
//! a rule of the protocol, are caught with the same seeds. Near tiers are tried in storms of
//! their own, with mutants of the reports to them, and so are stale values: windows, refreshes,
//! timeouts, late tags, marks of failed loads, and holds.
//!
//! A seed determines everything. `HOTSHELF_SEED=17` replays one and prints its history;
//! `HOTSHELF_SEEDS=100000` runs more seeds than usual. All tests together take about two
//! minutes of one core in a debug build.

mod calls;
mod faults;
mod links;
mod loads;
mod many;
mod mutants;
mod near;
mod scenario;
mod seeds;
mod source;
mod stale;
mod world;
mod writes;

use std::time::Duration;

use hotshelf_core::Moment;
use hotshelf_testkit::simulation::{Overlap, Overlaps};
use mutants::Mutant;
use scenario::{Focus, Scenario};
use seeds::{first_caught, hold, is_replay, seeds, show};
use world::{Outcome, run};

/// The number of seeds of tests with all faults, and of tests with few.
const STORMS: u64 = 500;
const CALMS: u64 = 200;

#[test]
fn no_stale_value_after_invalidation() {
    hold_in_storms(Focus::Keys);
}

#[test]
fn no_stale_value_after_tag_invalidation() {
    hold_in_storms(Focus::Tags);
}

#[test]
fn no_stale_value_after_write() {
    hold_in_storms(Focus::Writes);
}

/// The minimum number of occurrences of each overlap, and the overlaps that are too rare for
/// it.
const OFTEN: u64 = 20;
const RARE: [Overlap; 2] = [Overlap::LateStoreKept, Overlap::LateRenewal];

fn hold_in_storms(focus: Focus) {
    let overlaps = Overlaps::default();
    let (mut loads, mut calls) = (0, 0);
    let seeds = seeds(STORMS);
    for seed in seeds.clone() {
        let outcome = hold(Scenario::stormy(seed, focus), &overlaps);
        loads += outcome.loads;
        calls += outcome.calls;
    }
    let count = seeds.end - seeds.start;
    show(&format!("{focus:?}: {count} seeds, {calls} calls, {loads} loads\n{overlaps}"));
    let least = |overlap| match overlap {
        _ if Overlap::NEAR.contains(&overlap) || Overlap::STALE.contains(&overlap) => 0,
        Overlap::LoadedUnderHold | Overlap::LoadedTogether => 0,
        _ if RARE.contains(&overlap) => 1,
        _ => OFTEN,
    };
    let missed: Vec<Overlap> = overlaps.rarer_than(least);
    assert!(is_replay() || missed.is_empty(), "too few occurrences of {missed:?}");
}

#[test]
fn each_mutant_is_caught() {
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        let caught = match mutant.focus() {
            Some(focus) => first_caught(mutant, STORMS, |seed| Scenario::stormy(seed, focus)),
            None => first_caught(mutant, CALMS, Scenario::calm),
        };
        match caught {
            Some(seed) => show(&format!("mutant {mutant:?} is caught by seed {seed}")),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "mutants not caught: {missed:?}");
}

#[test]
fn each_key_is_loaded_once() {
    for seed in seeds(CALMS) {
        let scenario = Scenario::still(seed);
        let rows = scenario.rows.len() as u64;
        let outcome = hold(scenario, &Overlaps::default());
        assert_eq!(outcome.loads, rows, "seed {seed}");
    }
}

#[test]
fn each_invalidation_costs_one_load() {
    let overlaps = Overlaps::default();
    for seed in seeds(CALMS) {
        hold(Scenario::calm(seed), &overlaps);
    }
    let met = overlaps.get(Overlap::RefusedAfterInvalidation);
    assert!(is_replay() || met > CALMS, "too few refused loads: {met}");
}

#[test]
fn cancelled_callers_leave_no_lease() {
    let overlaps = Overlaps::default();
    for seed in seeds(CALMS) {
        assert_no_lease_left(Scenario::cancelling_callers(seed), &overlaps);
    }
    let met = overlaps.get(Overlap::HandedOver);
    assert!(is_replay() || met > CALMS / 2, "too few cancelled leaders: {met}");
}

#[test]
fn cancelled_writers_leave_no_lease() {
    for seed in seeds(CALMS) {
        assert_no_lease_left(Scenario::cancelling_writers(seed), &Overlaps::default());
    }
}

/// Asserts that no lease is left behind: it would keep other callers waiting for 5 s.
fn assert_no_lease_left(scenario: Scenario, overlaps: &Overlaps) {
    let seed = scenario.seed;
    let outcome = hold(scenario, overlaps);
    let latest = Moment::after_start(Duration::from_secs(4));
    assert!(outcome.ended < latest, "seed {seed}: {:?}", outcome.ended);
}

/// A violation of what holds while runtimes stall and end, and the network is perfect: nothing
/// fails, nothing is loaded without being stored, no wait exceeds its deadline.
fn violation_of_runtimes(outcome: &Outcome) -> Option<String> {
    let stats = &outcome.stats;
    let holds = (stats.errors, stats.degraded, outcome.long_waits) == (0, 0, 0);
    let counted = || format!("{stats:?}, {} long waits", outcome.long_waits);
    outcome.violation.as_ref().map(ToString::to_string).or_else(|| (!holds).then(counted))
}

/// The same for callers that don't poll their calls for 20 s: nobody else waits that long.
fn violation_of_parking(outcome: &Outcome) -> Option<String> {
    let longest = outcome.longest_call;
    let too_long = longest > Duration::from_secs(3);
    let counted = || format!("a call took {longest:?}");
    outcome.violation.as_ref().map(ToString::to_string).or_else(|| too_long.then(counted))
}

#[test]
fn stalls_and_ends_cost_nothing() {
    let overlaps = Overlaps::default();
    for seed in seeds(CALMS) {
        let outcome = hold(Scenario::runtimes(seed), &overlaps);
        let violation = violation_of_runtimes(&outcome);
        assert_eq!(violation, None, "seed {seed}");
    }
    show(&format!("runtimes:\n{overlaps}"));
    for overlap in [Overlap::RuntimeStalled, Overlap::RuntimeEndedAsHolder, Overlap::HandedOver] {
        let met = overlaps.get(overlap);
        assert!(is_replay() || met > CALMS / 4, "{overlap:?}: {met}");
    }
}

#[test]
fn unpolled_leaders_are_replaced() {
    for seed in seeds(CALMS) {
        let outcome = hold(Scenario::parking_callers(seed), &Overlaps::default());
        assert_eq!(violation_of_parking(&outcome), None, "seed {seed}");
    }
}

#[test]
fn mutants_of_runtimes_are_caught() {
    let is_caught = |mutant, seed| match mutant {
        Mutant::LeaderAwaited => {
            violation_of_parking(&run(Scenario::parking_callers(seed), Some(mutant), false))
        }
        mutant => violation_of_runtimes(&run(Scenario::runtimes(seed), Some(mutant), false)),
    };
    let mutants =
        [Mutant::CleanupLost, Mutant::SharedDeadline, Mutant::ExpiryFirst, Mutant::LeaderAwaited];
    for mutant in mutants {
        let caught = (0..CALMS).find(|&seed| is_caught(mutant, seed).is_some());
        let seed = caught.unwrap_or_else(|| panic!("mutant {mutant:?} is not caught"));
        show(&format!("mutant {mutant:?} is caught by seed {seed}"));
    }
}

#[test]
fn same_seed_repeats_the_run() {
    for seed in 0..20 {
        let history = || run(Scenario::stormy(seed, Focus::Tags), None, true).history.to_string();
        assert_eq!(history(), history(), "seed {seed}");
    }
}
