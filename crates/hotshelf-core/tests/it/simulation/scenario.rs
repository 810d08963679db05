//! Scenarios: the load and the faults that a seed determines in advance.

use std::time::Duration;

use hotshelf_core::Ttl;
use hotshelf_core::near::NearOptions;
use hotshelf_testkit::SimRuntime;
use hotshelf_testkit::simulation::Network;

use super::loads::LOAD;
use super::stale::Staleness;

/// A kind of operation that is executed more often than the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Focus {
    /// Invalidations by key.
    Keys,
    /// Invalidations by tag.
    Tags,
    /// Writes through the cache.
    Writes,
}

/// The parameters of a run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) processes: u64,
    /// The number of runtimes of a process, which share its store.
    pub(crate) runtimes: u64,
    /// The number of tasks of a runtime.
    pub(crate) tasks: u64,
    /// The number of operations of a runtime, over all its tasks.
    pub(crate) operations: u64,
    /// The longest pause between two operations of a task.
    pub(crate) idle: Duration,
    /// The tags of the rows in the source of truth. Each row has an entry.
    pub(crate) rows: Vec<Tagged>,
    pub(crate) network: Network,
    /// The options of a near tier in each process.
    pub(crate) near: Option<NearOptions>,
    pub(crate) faults: Vec<Fault>,
    /// The longest time from one fault to the next.
    pub(crate) fault_pause: Duration,
    /// Whether some callers cancel their calls.
    pub(crate) callers_cancel: bool,
    /// Whether some callers begin a call and then don't poll it for a while.
    pub(crate) callers_park: bool,
    pub(crate) loaders_fail: bool,
    /// The longest pauses of a loader before and after it reads.
    pub(crate) load: Duration,
    /// Whether some loaders take longer than a lease.
    pub(crate) long_loads: bool,
    pub(crate) wait_timeout: Duration,
    /// How long a call waits for the backend in total.
    pub(crate) backend_budget: Duration,
    pub(crate) max_waiters: usize,
    /// The time to live of entries.
    pub(crate) ttl: Ttl,
    pub(crate) mix: Vec<(Operation, u64)>,
    /// How values are used that aren't fresh, if they are.
    pub(crate) stale: Option<Staleness>,
}

/// The tags of a row's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tagged {
    Not,
    /// The tag that tagged rows share.
    Shared,
    /// The shared tag and one of its own.
    Twice,
    /// A shared tag that is known only from its value.
    Late,
    /// That one, and the shared one that is known before.
    AlsoLate,
}

/// The faults, except for those of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Eviction,
    LeaseEviction,
    Pause,
    LongPause,
    Crash,
    ServerClock,
    ProcessClock,
    Flush,
    /// One runtime of a process is too busy to run anything, for less than a lease.
    Stall,
    /// One runtime of a process ends, and another one begins.
    End,
    /// One connection is silent for a while, and then lost or not.
    Silence,
}

/// The operations of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Get,
    /// Requires a value that is read after the call began.
    Reload,
    /// Loads all rows of the same tags with one loader.
    Many,
    /// Reads without naming tags, and without loading.
    Peek,
    /// Fills manually, with a ticket.
    Ticket,
    InvalidateKey,
    InvalidateTag,
    InvalidatePattern,
    WriteThrough,
    Insert,
    /// Makes the value stale.
    Expire,
}

const EVERY_FAULT: [Fault; 10] = [
    Fault::Eviction,
    Fault::LeaseEviction,
    Fault::Pause,
    Fault::LongPause,
    Fault::Crash,
    Fault::ServerClock,
    Fault::ProcessClock,
    Fault::Flush,
    Fault::Stall,
    Fault::End,
];

const NEAR_FAULTS: [Fault; 8] = [
    Fault::Eviction,
    Fault::Pause,
    Fault::Crash,
    Fault::ServerClock,
    Fault::ProcessClock,
    Fault::Flush,
    Fault::Stall,
    Fault::End,
];

impl Scenario {
    /// All faults are possible. Each seed draws which ones occur: one kind of fault would mask
    /// another if all occurred all the time (Groce et al., "Swarm Testing", 2012).
    pub(crate) fn stormy(seed: u64, focus: Focus) -> Self {
        let dice = SimRuntime::new(seed);
        let often = |share| dice.below(100) < share;
        let mut faults = EVERY_FAULT.to_vec();
        faults.retain(|_| often(40));
        let failing = if often(60) { 20 + dice.below(100) } else { 0 };
        let network = Network {
            connections: [1, 2, 4][dice.below(3) as usize],
            longest_delay: Duration::from_millis(2 + dice.below(80)),
            failing,
            repeated: if often(30) { 50 } else { 0 },
            repeated_captures: 0,
            pushes: dice.below(2) == 0,
            latest: Duration::from_millis([30, 30, 300, 8000][dice.below(4) as usize]),
            expires_first: false,
            broken_reports: None,
        };
        let (processes, tasks) = (2 + dice.below(3), 2 + dice.below(4));
        let runtimes = if often(30) { 2 } else { 1 };
        Self {
            seed,
            processes,
            runtimes,
            tasks,
            operations: 60,
            idle: Duration::from_millis(12),
            rows: rows(&dice, focus),
            network,
            near: None,
            faults,
            fault_pause: Duration::from_millis(20 + dice.below(200)),
            callers_cancel: often(50),
            callers_park: false,
            loaders_fail: often(40),
            load: LOAD,
            long_loads: often(40),
            wait_timeout: Duration::from_millis([100, 2000, 20_000][dice.below(3) as usize]),
            backend_budget: Duration::from_millis([20, 250, 60_000][dice.below(3) as usize]),
            max_waiters: [1, usize::MAX, usize::MAX][dice.below(3) as usize],
            ttl: if often(30) { Ttl::new(Duration::from_secs(2)).unwrap() } else { Ttl::MAX },
            mix: mix(focus),
            stale: None,
        }
    }

    /// Processes with near tiers. Entries live for long enough to be found there: most calls are
    /// reads, and faults are those that a near tier may not notice.
    pub(crate) fn near(seed: u64) -> Self {
        let dice = SimRuntime::new(seed);
        let often = |share| dice.below(100) < share;
        let focus = [Focus::Keys, Focus::Tags, Focus::Writes][dice.below(3) as usize];
        let bound = Duration::from_millis([100, 100, 250][dice.below(3) as usize]);
        let mut near = Self::stormy(seed, focus);
        near.near = Some(NearOptions::default().max_bytes(1 << 20).max_staleness(bound));
        near.processes = 2 + dice.below(2);
        near.runtimes = 1 + dice.below(2);
        near.operations = 150;
        near.idle = Duration::from_millis(60);
        near.network.connections = 1 + dice.below(2);
        near.network.longest_delay = Duration::from_millis(2 + dice.below(30));
        near.network.failing = if often(30) { 10 } else { 0 };
        near.network.latest = Duration::from_millis(300);
        near.faults = NEAR_FAULTS.to_vec();
        near.faults.retain(|_| often(20));
        near.faults.push(Fault::Silence);
        near.fault_pause = Duration::from_millis(100 + dice.below(500));
        near.long_loads = false;
        near.mix = vec![
            (Operation::Get, 300),
            (Operation::Peek, 30),
            (Operation::Reload, 2),
            (Operation::InvalidatePattern, 1),
            (Operation::Insert, 2),
        ];
        let change = match focus {
            Focus::Keys => Operation::InvalidateKey,
            Focus::Tags => Operation::InvalidateTag,
            Focus::Writes => Operation::WriteThrough,
        };
        near.mix.push((change, 8));
        near
    }

    /// Without faults. Requests of different processes may still overtake each other.
    pub(crate) fn calm(seed: u64) -> Self {
        let dice = SimRuntime::new(seed);
        let focus = [Focus::Keys, Focus::Tags, Focus::Writes][dice.below(3) as usize];
        let mut calm = Self {
            network: Network { pushes: dice.below(2) == 0, ..Network::calm() },
            faults: Vec::new(),
            callers_cancel: false,
            loaders_fail: false,
            long_loads: false,
            wait_timeout: Duration::from_secs(60),
            backend_budget: Duration::MAX,
            max_waiters: usize::MAX,
            ttl: Ttl::MAX,
            ..Self::stormy(seed, focus)
        };
        let extra_loads = [Operation::Reload, Operation::InvalidatePattern];
        calm.mix.retain(|(operation, _)| !extra_loads.contains(operation));
        calm
    }

    /// Without faults, writes and invalidations.
    pub(crate) fn still(seed: u64) -> Self {
        Self { mix: vec![(Operation::Get, 1)], ..Self::calm(seed) }
    }

    /// Without faults, but callers cancel their calls.
    pub(crate) fn cancelling_callers(seed: u64) -> Self {
        let mut scenario = Self::cancelling_writers(seed);
        scenario.mix.retain(|(operation, _)| *operation != Operation::WriteThrough);
        scenario
    }

    /// Without faults, but callers and writers cancel their calls.
    pub(crate) fn cancelling_writers(seed: u64) -> Self {
        Self { callers_cancel: true, ..Self::calm(seed) }
    }

    /// A perfect network, and processes whose runtimes stall and end.
    pub(crate) fn runtimes(seed: u64) -> Self {
        let dice = SimRuntime::new(seed);
        let mut scenario = Self::cancelling_writers(seed);
        scenario.runtimes = 2 + dice.below(2);
        scenario.processes = 2;
        scenario.network.longest_delay = Duration::from_millis(20);
        scenario.faults = vec![Fault::Stall, Fault::End];
        scenario.fault_pause = Duration::from_millis(60);
        scenario.wait_timeout = Duration::from_secs(2);
        scenario.backend_budget = Duration::from_millis(250);
        // A ticket doesn't wait for the lease of another caller.
        scenario.mix.retain(|(operation, _)| *operation != Operation::Ticket);
        scenario
    }

    /// The same, without ends: and callers that don't poll their calls.
    pub(crate) fn parking_callers(seed: u64) -> Self {
        let mut scenario = Self::runtimes(seed);
        scenario.processes = 1;
        scenario.faults.clear();
        scenario.callers_cancel = false;
        scenario.callers_park = true;
        scenario.wait_timeout = Duration::from_millis(200);
        scenario
    }

    /// Returns `true` if a key must be loaded only once between two invalidations.
    pub(crate) fn promises_single_flight(&self) -> bool {
        let expires = self.stale.is_some();
        let forced =
            expires || self.mix.iter().any(|(operation, _)| *operation == Operation::Reload);
        let cancelled = self.callers_cancel || self.callers_park;
        let calm = self.faults.is_empty() && self.network.failing == 0 && !cancelled;
        calm && !self.loaders_fail && !forced
    }
}

impl Scenario {
    /// Returns `true` if nothing but a failed load keeps a call from storing.
    pub(crate) fn is_calm(&self) -> bool {
        self.stale.is_some_and(|stale| stale.is_calm)
    }

    /// Returns `true` if invalidated keys are held.
    pub(crate) fn holds(&self) -> bool {
        self.stale.is_some_and(|stale| !stale.lag.is_zero())
    }
}

fn rows(dice: &SimRuntime, focus: Focus) -> Vec<Tagged> {
    let row = |_| match (focus, dice.below(4)) {
        (Focus::Tags, 0 | 1) | (_, 0) => Tagged::Shared,
        (Focus::Tags, _) | (_, 1) => Tagged::Twice,
        _ => Tagged::Not,
    };
    (0..1 + dice.below(3)).map(row).collect()
}

fn mix(focus: Focus) -> Vec<(Operation, u64)> {
    let often = |preferred| if focus == preferred { 18 } else { 3 };
    vec![
        (Operation::Get, 100),
        (Operation::Reload, 4),
        (Operation::Peek, 10),
        (Operation::Ticket, 5),
        (Operation::InvalidateKey, often(Focus::Keys)),
        (Operation::InvalidateTag, often(Focus::Tags)),
        (Operation::InvalidatePattern, 2),
        (Operation::WriteThrough, often(Focus::Writes)),
        (Operation::Insert, 5),
    ]
}
