//! Stale values: served while they are loaded anew, on errors and after timeouts, and made stale
//! by a call. Late tags, marks of failed loads, and holds.

use std::time::Duration;

use hotshelf_core::Ttl;
use hotshelf_core::cache::CacheOptions;
use hotshelf_core::near::NearOptions;
use hotshelf_testkit::SimRuntime;
use hotshelf_testkit::simulation::{
    Overlap, Overlaps, Violation, check_one_load_at_a_time, check_throttle,
};

use super::mutants::Mutant;
use super::scenario::{Fault, Focus, Operation, Scenario, Tagged};
use super::seeds::{first_caught, hold, is_replay, seeds, show};
use super::world::{Outcome, run};
use super::{CALMS, STORMS};

/// The number of seeds of storms with stale values.
const STALE: u64 = 300;

/// How values are used that aren't fresh, and what becomes of loads that fail or take long.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Staleness {
    revalidate: Duration,
    on_error: Duration,
    throttle: Duration,
    backoff: Duration,
    early: f64,
    soft: Option<Duration>,
    hard: Option<Duration>,
    hold: Duration,
    /// By how much the replicas that loaders read may lag behind.
    pub(crate) lag: Duration,
    /// How many of 100 calls have loaders that may run in the background.
    pub(crate) apart: u64,
    /// Whether loads fail once their key has a value.
    pub(crate) always_fails: bool,
    /// Whether nothing but a failed load keeps a call from storing.
    pub(crate) is_calm: bool,
}

const HOUR: Duration = Duration::from_secs(3600);

impl Staleness {
    pub(crate) fn options(self) -> CacheOptions {
        CacheOptions {
            stale_while_revalidate: self.revalidate,
            stale_if_error: self.on_error,
            error_throttle: self.throttle,
            error_backoff: self.backoff,
            early_refresh: self.early,
            soft_timeout: self.soft,
            hard_timeout: self.hard,
            hold: self.hold,
            ..CacheOptions::default()
        }
    }

    fn drawn(dice: &SimRuntime) -> Self {
        let draw = |millis: &[u64]| {
            Duration::from_millis(millis[dice.below(millis.len() as u64) as usize])
        };
        let limit = |millis: u64| (dice.below(2) == 0).then_some(Duration::from_millis(millis));
        Self {
            revalidate: draw(&[1, 500, 2_000]),
            on_error: draw(&[0, 1_000, 4_000]),
            throttle: draw(&[0, 100, 1_000]),
            backoff: draw(&[0, 0, 200]),
            early: [0.0, 1.0, 5.0][dice.below(3) as usize],
            soft: limit(30),
            hard: limit(90),
            apart: [0, 50, 100][dice.below(3) as usize],
            ..Self::default()
        }
    }
}

impl Scenario {
    /// Values that are stale for most of the time, under all faults but a jump of the server's
    /// clock: the age of late tags rests on that.
    fn stale(seed: u64) -> Self {
        let dice = SimRuntime::new(seed);
        let mut stale = Self::stormy(seed, [Focus::Keys, Focus::Tags][dice.below(2) as usize]);
        stale.stale = Some(Staleness::drawn(&dice));
        stale.ttl = Ttl::new(Duration::from_millis(100 + dice.below(400))).unwrap();
        stale.faults.retain(|fault| *fault != Fault::ServerClock);
        stale.fault_pause = Duration::from_millis(100 + dice.below(500));
        stale.load = Duration::from_millis(6 + dice.below(40));
        stale.operations = 100;
        stale.idle = Duration::from_millis(150);
        stale.mix.extend([(Operation::Expire, 5), (Operation::Many, 20)]);
        let tagged = |_| match dice.below(5) {
            0 => Tagged::Not,
            1 => Tagged::Shared,
            2 => Tagged::Twice,
            3 => Tagged::Late,
            _ => Tagged::AlsoLate,
        };
        stale.rows = (0..1 + dice.below(3)).map(tagged).collect();
        stale
    }

    /// The same, with near tiers.
    fn stale_near(seed: u64) -> Self {
        let bound = Duration::from_millis(100);
        let mut near = Self::stale(seed);
        // Of a batch it isn't known which values the near tier has given.
        near.mix.retain(|(operation, _)| *operation != Operation::Many);
        near.faults.retain(|fault| !matches!(fault, Fault::LongPause | Fault::LeaseEviction));
        near.near = Some(NearOptions::default().max_bytes(1 << 20).max_staleness(bound));
        near.network.connections = 1 + seed % 2;
        near.network.latest = Duration::from_millis(300);
        near.long_loads = false;
        near
    }

    /// Without faults and changes: values that are never too old to be served.
    fn served(seed: u64) -> Self {
        let dice = SimRuntime::new(seed);
        let mut served = Self::still(seed);
        served.stale = Some(Staleness { is_calm: true, revalidate: HOUR, ..Staleness::default() });
        served.ttl = Ttl::new(Duration::from_millis(200 + dice.below(300))).unwrap();
        served.load = Duration::from_millis(6 + dice.below(40));
        served.operations = 100;
        served.idle = Duration::from_millis(100);
        served
    }

    /// Loads that fail once there is a value.
    fn failing(seed: u64) -> Self {
        let mut failing = Self::served(seed);
        let revalidate = [Duration::ZERO, HOUR][(seed % 2) as usize];
        failing.stale = Some(Staleness {
            is_calm: true,
            always_fails: true,
            revalidate,
            on_error: HOUR,
            throttle: THROTTLE,
            apart: [0, 50, 100][(seed % 3) as usize],
            ..Staleness::default()
        });
        failing
    }

    /// Loads that begin before their value is stale, in the background.
    fn early(seed: u64) -> Self {
        let mut early = Self::served(seed);
        let stale = early.stale.unwrap_or_default();
        early.stale = Some(Staleness { early: 1.0 + (seed % 5) as f64, apart: 100, ..stale });
        early
    }

    /// Without faults, but loads fail, and keys are invalidated.
    fn marked(seed: u64) -> Self {
        let dice = SimRuntime::new(seed);
        let mut marked = Self::served(seed);
        let drawn = Staleness::drawn(&dice);
        marked.stale = Some(Staleness { is_calm: true, soft: None, hard: None, ..drawn });
        marked.loaders_fail = true;
        marked.rows.fill(Tagged::Not);
        marked.mix = vec![
            (Operation::Get, 100),
            (Operation::Reload, 4),
            (Operation::InvalidateKey, 20),
            (Operation::Insert, 4),
            (Operation::Expire, 8),
        ];
        marked
    }

    /// Loaders that read from replicas, and invalidations that hold for longer than those lag.
    fn lagging(seed: u64) -> Self {
        let dice = SimRuntime::new(seed);
        let mut lagging = Self::stormy(seed, Focus::Keys);
        let lag = Duration::from_millis(50 + dice.below(300));
        lagging.stale = Some(Staleness { hold: lag, lag, ..Staleness::default() });
        // The mark of a hold must last.
        let faults = [Fault::Pause, Fault::LongPause, Fault::Crash, Fault::Stall, Fault::End];
        lagging.faults.retain(|fault| faults.contains(fault));
        lagging.idle = Duration::from_millis(60);
        let kept = [
            Operation::Get,
            Operation::Reload,
            Operation::Peek,
            Operation::Ticket,
            Operation::InvalidateKey,
            Operation::Insert,
        ];
        lagging.mix.retain(|(operation, _)| kept.contains(operation));
        lagging
    }
}

const THROTTLE: Duration = Duration::from_secs(1);

fn hold_all(seeds: std::ops::Range<u64>, scenario: impl Fn(u64) -> Scenario) -> Overlaps {
    let overlaps = Overlaps::default();
    for seed in seeds {
        hold(scenario(seed), &overlaps);
    }
    overlaps
}

fn assert_often(overlaps: &Overlaps, which: &[Overlap], least: u64) {
    let rare: Vec<_> = which.iter().filter(|overlap| overlaps.get(**overlap) < least).collect();
    assert!(is_replay() || rare.is_empty(), "too few occurrences of {rare:?}");
}

#[test]
fn no_stale_value_was_invalidated() {
    let overlaps = hold_all(seeds(STALE), Scenario::stale);
    show(&format!("stale values:\n{overlaps}"));
    assert_often(&overlaps, &Overlap::STALE, 20);
}

#[test]
fn near_stale_values_stay_within_the_bound() {
    let overlaps = hold_all(seeds(CALMS / 2), Scenario::stale_near);
    show(&format!("stale values, near:\n{overlaps}"));
    assert_often(&overlaps, &[Overlap::NearHit, Overlap::StaleServed], CALMS);
}

/// A violation of what holds while a load fails, or none does, and nothing else happens.
fn violation_of_serving(outcome: &Outcome, throttle: Duration) -> Option<String> {
    let told = |violation: Violation| violation.to_string();
    if let Some(violation) = &outcome.violation {
        return Some(violation.to_string());
    }
    let checked = check_one_load_at_a_time(&outcome.history)
        .and_then(|()| check_throttle(&outcome.history, throttle));
    let counted = (outcome.valueless, outcome.stats.errors, outcome.stats.degraded);
    let uncounted = (counted != (0, 0, 0)).then(|| format!("{counted:?}: {:?}", outcome.stats));
    checked.err().map(told).or(uncounted)
}

#[test]
fn failing_load_runs_once_per_throttle() {
    let mut failures = 0;
    for seed in seeds(CALMS) {
        let outcome = hold(Scenario::failing(seed), &Overlaps::default());
        assert_eq!(violation_of_serving(&outcome, THROTTLE), None, "seed {seed}");
        failures += outcome.stats.load_errors;
    }
    assert!(is_replay() || failures > 2 * CALMS, "too few failures: {failures}");
}

#[test]
fn nobody_waits_for_an_early_refresh() {
    let mut refreshes = 0;
    for seed in seeds(CALMS) {
        let outcome = hold(Scenario::early(seed), &Overlaps::default());
        assert_eq!(violation_of_serving(&outcome, Duration::ZERO), None, "seed {seed}");
        assert_eq!(outcome.led, 0, "seed {seed}");
        assert!(outcome.stats.misses <= outcome.cold, "seed {seed}: {:?}", outcome.stats);
        refreshes += outcome.stats.refreshes;
    }
    assert!(is_replay() || refreshes > 5 * CALMS, "too few refreshes: {refreshes}");
}

#[test]
fn invalidation_ends_the_mark_of_a_failed_load() {
    let overlaps = hold_all(seeds(CALMS), Scenario::marked);
    show(&format!("marks:\n{overlaps}"));
    assert_often(&overlaps, &[Overlap::BackedOff, Overlap::ServedOnError], CALMS / 2);
}

#[test]
fn held_keys_outlast_the_lag_of_replicas() {
    let overlaps = hold_all(seeds(CALMS), Scenario::lagging);
    assert_often(&overlaps, &[Overlap::LoadedUnderHold], CALMS);
}

#[test]
fn mutants_of_stale_values_are_caught() {
    for mutant in Mutant::STALE {
        let caught = match mutant {
            Mutant::FailUnfenced | Mutant::MarkKept => {
                first_caught(mutant, CALMS, Scenario::marked)
            }
            Mutant::MarkLost | Mutant::NoWaiting => (0..CALMS).find(|&seed| {
                let outcome = run(Scenario::failing(seed), Some(mutant), false);
                violation_of_serving(&outcome, THROTTLE).is_some()
            }),
            Mutant::HoldIgnored => first_caught(mutant, CALMS, Scenario::lagging),
            _ => first_caught(mutant, STORMS, Scenario::stale),
        };
        let seed = caught.unwrap_or_else(|| panic!("mutant {mutant:?} is not caught"));
        show(&format!("mutant {mutant:?} is caught by seed {seed}"));
    }
}

#[test]
fn same_seed_repeats_the_run() {
    for seed in 0..10 {
        let history = || run(Scenario::stale(seed), None, true).history.to_string();
        assert_eq!(history(), history(), "seed {seed}");
    }
}
