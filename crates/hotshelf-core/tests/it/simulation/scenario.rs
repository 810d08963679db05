//! What a seed decides beforehand: how much goes on in its world, and what goes wrong.

use std::time::Duration;

use hotshelf_core::Ttl;
use hotshelf_testkit::SimRuntime;
use hotshelf_testkit::simulation::Network;

/// One kind of operation that is done more often than the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Focus {
    /// Invalidations by key.
    Keys,
    /// Invalidations by tag.
    Tags,
    /// Writes through the cache.
    Writes,
}

/// The circumstances of a run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) processes: u64,
    /// Tasks of a process.
    pub(crate) tasks: u64,
    /// Operations that all tasks of a process do together.
    pub(crate) operations: u64,
    /// The rows of the source of truth, each with an entry, and their tags.
    pub(crate) rows: Vec<Tagged>,
    pub(crate) network: Network,
    pub(crate) faults: Vec<Fault>,
    /// The longest time from one fault to the next.
    pub(crate) fault_pause: Duration,
    /// Whether callers give up.
    pub(crate) impatient: bool,
    pub(crate) loaders_fail: bool,
    /// Whether some loaders take longer than a lease.
    pub(crate) long_loads: bool,
    pub(crate) wait_timeout: Duration,
    /// How long a call waits for the backend in all.
    pub(crate) backend_budget: Duration,
    pub(crate) max_waiters: usize,
    /// How long entries live.
    pub(crate) ttl: Ttl,
    pub(crate) mix: Vec<(Operation, u64)>,
}

/// Which tags a row's entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tagged {
    Not,
    /// With the tag that all rows share.
    Shared,
    /// With that and one of its own.
    Twice,
}

/// What goes wrong beside the network.
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
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Get,
    /// Asks for a value that is read after the call began.
    Reload,
    /// Reads without naming tags, and without loading.
    Peek,
    /// Fills under a ticket taken by hand.
    Ticket,
    InvalidateKey,
    InvalidateTag,
    InvalidatePattern,
    WriteThrough,
    Insert,
}

const EVERY_FAULT: [Fault; 8] = [
    Fault::Eviction,
    Fault::LeaseEviction,
    Fault::Pause,
    Fault::LongPause,
    Fault::Crash,
    Fault::ServerClock,
    Fault::ProcessClock,
    Fault::Flush,
];

impl Scenario {
    /// Everything may go wrong. Which things do is drawn for each seed: one kind of trouble
    /// would hide behind another if all of them happened all the time (Groce et al., "Swarm
    /// Testing", 2012).
    pub(crate) fn stormy(seed: u64, focus: Focus) -> Self {
        let dice = SimRuntime::new(seed);
        let often = |share| dice.below(100) < share;
        let mut faults = EVERY_FAULT.to_vec();
        faults.retain(|_| often(40));
        let trouble = if often(60) { 20 + dice.below(100) } else { 0 };
        let network = Network {
            connections: [1, 2, 4][dice.below(3) as usize],
            longest_delay: Duration::from_millis(2 + dice.below(80)),
            trouble,
            repeated: if often(30) { 50 } else { 0 },
            repeated_captures: 0,
            pushes: dice.below(2) == 0,
            latest: Duration::from_millis([30, 30, 300, 8000][dice.below(4) as usize]),
        };
        Self {
            seed,
            processes: 2 + dice.below(3),
            tasks: 2 + dice.below(4),
            operations: 60,
            rows: rows(&dice, focus),
            network,
            faults,
            fault_pause: Duration::from_millis(20 + dice.below(200)),
            impatient: often(50),
            loaders_fail: often(40),
            long_loads: often(40),
            wait_timeout: Duration::from_millis([100, 2000, 20_000][dice.below(3) as usize]),
            backend_budget: Duration::from_millis([20, 250, 60_000][dice.below(3) as usize]),
            max_waiters: [1, usize::MAX, usize::MAX][dice.below(3) as usize],
            ttl: if often(30) { Ttl::new(Duration::from_secs(2)).unwrap() } else { Ttl::MAX },
            mix: mix(focus),
        }
    }

    /// Nothing fails; requests of different processes overtake each other all the same.
    pub(crate) fn calm(seed: u64) -> Self {
        let dice = SimRuntime::new(seed);
        let focus = [Focus::Keys, Focus::Tags, Focus::Writes][dice.below(3) as usize];
        let mut calm = Self {
            network: Network { pushes: dice.below(2) == 0, ..Network::calm() },
            faults: Vec::new(),
            impatient: false,
            loaders_fail: false,
            long_loads: false,
            wait_timeout: Duration::from_secs(60),
            backend_budget: Duration::MAX,
            max_waiters: usize::MAX,
            ttl: Ttl::MAX,
            ..Self::stormy(seed, focus)
        };
        let more_than_one = [Operation::Reload, Operation::InvalidatePattern];
        calm.mix.retain(|(operation, _)| !more_than_one.contains(operation));
        calm
    }

    /// Nothing fails, and nobody writes or invalidates.
    pub(crate) fn still(seed: u64) -> Self {
        Self { mix: vec![(Operation::Get, 1)], ..Self::calm(seed) }
    }

    /// Nothing fails, but callers cancel their calls.
    pub(crate) fn impatient(seed: u64) -> Self {
        let mut impatient = Self::impatient_writers(seed);
        impatient.mix.retain(|(operation, _)| *operation != Operation::WriteThrough);
        impatient
    }

    /// Nothing fails, but callers and those who write through the cache cancel.
    pub(crate) fn impatient_writers(seed: u64) -> Self {
        Self { impatient: true, ..Self::calm(seed) }
    }

    /// Says whether a key must be loaded once only between two invalidations.
    pub(crate) fn promises_single_flight(&self) -> bool {
        let forced = self.mix.iter().any(|(operation, _)| *operation == Operation::Reload);
        let calm = self.faults.is_empty() && self.network.trouble == 0 && !self.impatient;
        calm && !self.loaders_fail && !forced
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
