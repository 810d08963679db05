//! The engine in a simulated world: processes that crash and are paused, a network that
//! loses, delays and repeats, a server that evicts and whose clock jumps.
//!
//! Whatever happens, nobody is given what was invalidated before they asked; and where
//! nothing goes wrong, no key is loaded twice without need. Mutants of the backend, each of
//! which breaks a rule of the protocol, are caught by the same seeds.
//!
//! A seed decides everything. `HOTSHELF_SEED=17` replays one and shows what happened,
//! `HOTSHELF_SEEDS=100000` runs more of them than usual. All of this together takes about
//! 25 s of one core in a debug build.

mod calls;
mod faults;
mod mutants;
mod scenario;
mod seeds;
mod source;
mod world;
mod writes;

use std::time::Duration;

use hotshelf_core::Moment;
use hotshelf_testkit::simulation::{Overlap, Overlaps};
use mutants::Mutant;
use scenario::{Focus, Scenario};
use seeds::{first_caught, hold, is_replay, seeds, show};
use world::run;

/// The seeds of a test in which everything may go wrong, and of one in which little does.
const STORMS: u64 = 500;
const CALMS: u64 = 200;

#[test]
fn nobody_is_given_what_was_invalidated() {
    hold_in_storms(Focus::Keys);
}

#[test]
fn nobody_is_given_what_was_invalidated_by_its_tag() {
    hold_in_storms(Focus::Tags);
}

#[test]
fn nobody_is_given_what_was_written_over() {
    hold_in_storms(Focus::Writes);
}

/// How often each overlap must be met, and those that are too rare for that.
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
    let least = |overlap| if RARE.contains(&overlap) { 1 } else { OFTEN };
    let missed: Vec<Overlap> = overlaps.rarer_than(least);
    assert!(is_replay() || missed.is_empty(), "the seeds hit too few of these: {missed:?}");
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
            Some(seed) => show(&format!("the mutant {mutant:?} is caught by seed {seed}")),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "no seed catches these: {missed:?}");
}

#[test]
fn a_key_is_loaded_once_over_all_processes() {
    for seed in seeds(CALMS) {
        let scenario = Scenario::still(seed);
        let rows = scenario.rows.len() as u64;
        let outcome = hold(scenario, &Overlaps::default());
        assert_eq!(outcome.loads, rows, "seed {seed}");
    }
}

#[test]
fn a_key_is_loaded_at_most_once_for_each_invalidation() {
    let overlaps = Overlaps::default();
    for seed in seeds(CALMS) {
        hold(Scenario::calm(seed), &overlaps);
    }
    let met = overlaps.get(Overlap::RefusedAfterInvalidation);
    assert!(is_replay() || met > CALMS, "the seeds hit too few loads in vain: {met}");
}

#[test]
fn cancelled_callers_disturb_nobody() {
    let overlaps = Overlaps::default();
    for seed in seeds(CALMS) {
        leave_no_lease(Scenario::impatient(seed), &overlaps);
    }
    let met = overlaps.get(Overlap::HandedOver);
    assert!(is_replay() || met > CALMS / 2, "the seeds hit too few cancelled leaders: {met}");
}

#[test]
fn cancelled_writers_disturb_nobody() {
    for seed in seeds(CALMS) {
        leave_no_lease(Scenario::impatient_writers(seed), &Overlaps::default());
    }
}

/// A lease that nobody gave up would keep the others waiting for 5 s.
fn leave_no_lease(scenario: Scenario, overlaps: &Overlaps) {
    let seed = scenario.seed;
    let outcome = hold(scenario, overlaps);
    let latest = Moment::after_start(Duration::from_secs(4));
    assert!(outcome.ended < latest, "seed {seed}: {:?}", outcome.ended);
}

#[test]
fn the_same_seed_runs_the_same_way() {
    for seed in 0..20 {
        let history = || run(Scenario::stormy(seed, Focus::Tags), None, true).history.to_string();
        assert_eq!(history(), history(), "seed {seed}");
    }
}
