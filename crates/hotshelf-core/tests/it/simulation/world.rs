//! A world: the source of truth, the server, and the processes that use both.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hotshelf_core::cache::{CacheDefinition, CacheOptions, LEASE, ValueKind};
use hotshelf_core::codec::{Json, erase};
use hotshelf_core::sync::{Mutex, MutexGuard};
use hotshelf_core::{Backend, ByteCache, ByteStore, CacheStats, Jitter, Moment, Runtime};
use hotshelf_testkit::SimRuntime;
use hotshelf_testkit::simulation::{
    EventIndex, History, Overlap, Overlaps, SimGroup, SimLink, SimProcess, SimServer, Violation,
    check_marks, check_near_hits, check_nothing_stale, check_single_flight,
};

use super::faults;
use super::links::Links;
use super::mutants::{Mutant, MutantBackend};
use super::scenario::Scenario;
use super::source::{Row, namespace};

pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) runtime: SimRuntime,
    pub(crate) server: SimServer,
    pub(crate) history: Arc<History>,
    pub(crate) overlaps: Arc<Overlaps>,
    pub(crate) rows: Vec<Arc<Row>>,
    /// The store of the first process, whose counters all others share.
    store: OnceLock<ByteStore>,
    /// The running runtimes of all processes.
    members: Mutex<Vec<Arc<Member>>>,
    /// The process of each runtime, named by its first one.
    processes: Mutex<BTreeMap<usize, usize>>,
    /// The waits for the backend that took longer than they may.
    pub(crate) long_waits: Arc<AtomicU64>,
    /// The longest call.
    pub(crate) longest_call: Mutex<Duration>,
    /// The calls of keys with a value that were given none, and those that ran a loader.
    valueless: AtomicU64,
    led: AtomicU64,
    /// The calls of keys without a value.
    cold: AtomicU64,
    /// What the loads of replicas that lag behind have seen: the source before this event.
    pub(crate) lagging: Mutex<BTreeMap<EventIndex, EventIndex>>,
}

/// A runtime of a process, and the state that its tasks share.
pub(crate) struct Member {
    pub(crate) process: SimProcess,
    /// The process that it belongs to.
    group: Arc<Group>,
    pub(crate) link: SimLink,
    pub(crate) cache: ByteCache,
    /// The number of tasks that have neither completed nor ended with the runtime.
    running: AtomicU64,
    /// The number of remaining operations.
    pub(crate) operations: AtomicU64,
    /// The number of running loaders with a lease.
    pub(crate) holders: AtomicU64,
}

/// A process: its runtimes, and their links to the server.
struct Group {
    runtimes: SimGroup,
    links: Arc<Links>,
    cache: ByteCache,
}

/// The outcome of a run.
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    pub(crate) overlaps: Arc<Overlaps>,
    pub(crate) history: Arc<History>,
    pub(crate) loads: u64,
    /// The number of calls with a value or an error.
    pub(crate) calls: u64,
    pub(crate) stats: CacheStats,
    /// The number of hits in near tiers, of a run without a violation.
    pub(crate) near_hits: u64,
    pub(crate) long_waits: u64,
    pub(crate) longest_call: Duration,
    /// The calls of keys with a value that were given none, and those that ran a loader.
    pub(crate) valueless: u64,
    pub(crate) led: u64,
    pub(crate) cold: u64,
    pub(crate) ended: Moment,
}

/// A task that is still running after this time never completes.
const STUCK: Duration = Duration::from_secs(3600);

/// Runs a world until all tasks have completed. A detailed run records all operations of the
/// server, and is otherwise the same.
pub(crate) fn run(scenario: Scenario, mutant: Option<Mutant>, detailed: bool) -> Outcome {
    let world = World::new(scenario, mutant, detailed);
    for _ in 0..world.scenario.processes {
        world.start_process(world.scenario.operations);
    }
    if !world.scenario.faults.is_empty() {
        world.runtime.spawn(Box::pin(faults::inject(Arc::clone(&world))));
    }
    world.runtime.block_on(world.wait_for_all());
    // Before everything ends, which counts as failures.
    let (ended, stats) = (world.runtime.now(), world.stats());
    world.runtime.shut_down();
    world.outcome(ended, stats)
}

impl World {
    fn new(scenario: Scenario, mutant: Option<Mutant>, detailed: bool) -> Arc<Self> {
        let runtime = SimRuntime::new(scenario.seed);
        let history = Arc::new(History::new(runtime.clone(), detailed));
        let overlaps = Arc::default();
        let tagged = scenario.rows.iter().enumerate();
        Arc::new(Self {
            server: SimServer::new(&runtime, &history, &overlaps),
            rows: tagged.map(|(number, &tagged)| Arc::new(Row::new(number, tagged))).collect(),
            store: OnceLock::new(),
            members: Mutex::default(),
            processes: Mutex::default(),
            long_waits: Arc::default(),
            longest_call: Mutex::default(),
            valueless: AtomicU64::default(),
            led: AtomicU64::default(),
            cold: AtomicU64::default(),
            lagging: Mutex::default(),
            scenario,
            mutant,
            runtime,
            history,
            overlaps,
        })
    }

    /// Starts a process, each of whose runtimes executes this number of operations.
    pub(crate) fn start_process(self: &Arc<Self>, operations: u64) {
        let runtimes = SimGroup::new(&self.runtime);
        let first = runtimes.start_runtime();
        let shares_links = self.mutant == Some(Mutant::SharedDeadline);
        let links = Arc::new(Links::new(&runtimes, shares_links, &self.long_waits));
        let cache = self.cache_on(Arc::clone(&links) as _, Arc::new(runtimes.clone()));
        let group = Arc::new(Group { runtimes, links, cache });
        self.start_runtime(&group, first, operations);
        for _ in 1..self.scenario.runtimes {
            self.start_runtime(&group, group.runtimes.start_runtime(), operations);
        }
    }

    /// Starts the tasks of a runtime.
    fn start_runtime(self: &Arc<Self>, group: &Arc<Group>, process: SimProcess, operations: u64) {
        let mut network = self.scenario.network;
        if self.mutant == Some(Mutant::Recapture) {
            network.repeated_captures = 300;
        }
        network.expires_first = self.mutant == Some(Mutant::ExpiryFirst);
        if let Some(Mutant::Near(rule)) = self.mutant {
            network.broken_reports = Some(rule);
        }
        let link = SimLink::new(&process, &self.server, network, &self.overlaps);
        let backend: Arc<dyn Backend> = match self.mutant {
            Some(mutant) if mutant.is_of_backend() => {
                Arc::new(MutantBackend::new(link.clone(), mutant, &self.server, &process))
            }
            _ => Arc::new(link.clone()),
        };
        group.links.add(&process, backend);
        let first = group.runtimes.members()[0].number();
        self.processes.lock().insert(process.number(), first);
        let member = Arc::new(Member {
            cache: group.cache.clone(),
            group: Arc::clone(group),
            link,
            process,
            running: AtomicU64::new(self.scenario.tasks),
            operations: AtomicU64::new(operations),
            holders: AtomicU64::new(0),
        });
        self.members().push(Arc::clone(&member));
        for _ in 0..self.scenario.tasks {
            let task = Task { world: Arc::clone(self), member: Arc::clone(&member) };
            let running = Running(Arc::clone(&member));
            member.process.spawn(Box::pin(async move {
                task.work().await;
                drop(running);
            }));
        }
    }

    fn cache_on(&self, backend: Arc<dyn Backend>, runtime: Arc<dyn Runtime>) -> ByteCache {
        let Scenario { ttl, mut wait_timeout, backend_budget, max_waiters, .. } = self.scenario;
        if self.mutant == Some(Mutant::LeaderAwaited) {
            wait_timeout = Duration::MAX;
        }
        let new = || {
            let (backend, runtime) = (Arc::clone(&backend), Arc::clone(&runtime));
            ByteStore::with_options(backend, runtime, LEASE, self.scenario.near).unwrap()
        };
        let store = self.store.get_or_init(new).on(Arc::clone(&backend), Arc::clone(&runtime));
        let stale = self.scenario.stale.map(|stale| stale.options()).unwrap_or_default();
        let options = CacheOptions {
            time_to_live: ttl.as_duration(),
            jitter: Jitter::NONE,
            wait_timeout,
            backend_budget,
            max_waiters,
            ..stale
        };
        let definition = CacheDefinition {
            namespace: namespace(),
            kind: ValueKind::of::<EventIndex>(),
            options,
            codec: erase::<EventIndex>(Json),
            tag_rule: None,
        };
        store.cache(definition).unwrap()
    }

    /// Crashes a process, and starts another one for the remaining operations.
    pub(crate) fn crash(self: &Arc<Self>, member: &Arc<Member>) {
        let is_of_process = |other: &Arc<Member>| Arc::ptr_eq(&other.group, &member.group);
        let crashed: Vec<_> = self.members().extract_if(.., |other| is_of_process(other)).collect();
        crashed.iter().for_each(|member| member.process.crash());
        let left = crashed.iter().map(|member| member.operations.load(Ordering::Relaxed)).max();
        self.start_process(left.unwrap_or_default());
    }

    /// Ends a runtime, and starts another one of the same process for the remaining operations.
    pub(crate) fn end_runtime(self: &Arc<Self>, member: &Arc<Member>) {
        self.members().retain(|other| !Arc::ptr_eq(other, member));
        match self.mutant {
            Some(Mutant::CleanupLost) => member.process.vanish(),
            _ => member.process.crash(),
        }
        let next = member.group.runtimes.start_runtime();
        self.start_runtime(&member.group, next, member.operations.load(Ordering::Relaxed));
    }

    pub(crate) fn members(&self) -> MutexGuard<'_, Vec<Arc<Member>>> {
        self.members.lock()
    }

    async fn wait_for_all(&self) {
        let is_running = |member: &Arc<Member>| member.running.load(Ordering::Relaxed) > 0;
        while self.members().iter().any(is_running) {
            let waited = self.runtime.now() - Moment::default();
            assert!(waited < STUCK, "seed {}: a task is stuck", self.scenario.seed);
            self.runtime.sleep(Duration::from_millis(50)).await;
        }
    }

    fn stats(&self) -> CacheStats {
        let caches = self.store.get().map(ByteStore::caches).unwrap_or_default();
        caches[0].stats
    }

    fn outcome(&self, ended: Moment, stats: CacheStats) -> Outcome {
        self.overlaps.add(Overlap::Joined, stats.coalesced);
        self.overlaps.add(Overlap::HandedOver, stats.handed_over);
        self.overlaps.add(Overlap::Degraded, stats.degraded);
        let mut checked = check_nothing_stale(&self.history).and_then(|()| self.check_near());
        if self.scenario.promises_single_flight() {
            checked = checked.and_then(|()| check_single_flight(&self.history));
        }
        if self.scenario.is_calm() {
            checked = checked.and_then(|()| check_marks(&self.history));
        }
        Outcome {
            violation: checked.err(),
            overlaps: Arc::clone(&self.overlaps),
            history: Arc::clone(&self.history),
            loads: stats.loads,
            near_hits: self.overlaps.get(Overlap::NearHit),
            stats,
            long_waits: self.long_waits.load(Ordering::Relaxed),
            longest_call: *self.longest_call.lock(),
            valueless: self.valueless.load(Ordering::Relaxed),
            led: self.led.load(Ordering::Relaxed),
            cold: self.cold.load(Ordering::Relaxed),
            calls: self.history.answers(),
            ended,
        }
    }
}

impl World {
    /// Returns the rows that a function selects.
    pub(crate) fn rows_with(&self, selects: impl Fn(&Row) -> bool) -> Vec<&Row> {
        self.rows.iter().map(|row| &**row).filter(|row| selects(row)).collect()
    }

    /// Counts a call that begins, if its key has no value.
    pub(crate) fn asked(&self, is_cold: bool) {
        self.cold.fetch_add(u64::from(is_cold), Ordering::Relaxed);
    }

    /// Counts a call that was given no value, unless its key had none when it began.
    pub(crate) fn valueless(&self, is_cold: bool) {
        self.valueless.fetch_add(u64::from(!is_cold), Ordering::Relaxed);
    }

    /// Counts a call that runs a loader in its own task, likewise.
    pub(crate) fn led(&self, is_cold: bool) {
        self.led.fetch_add(u64::from(!is_cold), Ordering::Relaxed);
    }

    fn check_near(&self) -> Result<(), Violation> {
        let Some(near) = self.scenario.near else { return Ok(()) };
        let processes = self.processes.lock();
        let hits =
            check_near_hits(&self.history, near.max_staleness, |runtime| processes[&runtime])?;
        self.overlaps.add(Overlap::NearHit, hits.count);
        self.overlaps.add(Overlap::NearHitOutdated, hits.outdated);
        Ok(())
    }
}

/// Counts a task until it is dropped, including by the end of its runtime.
struct Running(Arc<Member>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A task of a process.
#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) world: Arc<World>,
    pub(crate) member: Arc<Member>,
}
