//! The engine on a simulated network: whatever the order in which requests are executed,
//! nobody is given what was invalidated before they asked, and no key is loaded twice
//! without need.

use std::any::{Any, TypeId};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::Seen;
use hotshelf_core::engine::{
    Acquisition, Call, Foreign, Format, Found, Identity, Judge, Known, Settled, Standing, Value,
    Verdict, View, Writing,
};
use hotshelf_core::tag::{TagId, Tags};
use hotshelf_core::{Engine, Moment, Runtime, Stats, Ttl, WireKey};
use hotshelf_memory::MemoryBackend;
use hotshelf_testkit::{SimRuntime, Slow};

/// A database row that is a version number, and services that cache it.
struct World {
    runtime: SimRuntime,
    /// One engine stands for one process; all of them share the backend.
    engines: Vec<Engine>,
    key: WireKey,
    tags: Tags,
    stats: Arc<Stats>,
    database: AtomicU64,
    loads: AtomicU32,
    invalidations: AtomicU32,
    overlaps: AtomicU32,
    written: AtomicU32,
    stale: Mutex<Vec<String>>,
}

#[derive(Clone, Copy)]
struct Options {
    processes: u64,
    callers: u64,
    calls: u64,
    invalidators: u64,
    cancel: bool,
    write_through: bool,
    tagged: bool,
}

fn tag() -> TagId {
    TagId::of("t").unwrap()
}

const LONG: Ttl = Ttl::MAX;

struct Version;

impl Judge for Version {
    fn judge(&self, value: &Bytes, _: bool) -> Verdict {
        Verdict::Hit(Value::Present(Arc::new(version(value))))
    }
}

fn version(raw: &[u8]) -> u64 {
    std::str::from_utf8(raw).unwrap().parse().unwrap()
}

impl World {
    fn new(seed: u64, options: Options) -> Arc<Self> {
        let runtime = SimRuntime::new(seed);
        let shared: Arc<dyn Runtime> = Arc::new(runtime.clone());
        let memory = MemoryBackend::new(1 << 20, Arc::clone(&shared));
        let backend = Arc::new(Slow::new(memory, Arc::clone(&shared), Duration::from_millis(40)));
        let engines = (0..options.processes)
            .map(|_| Engine::new(backend.clone(), Arc::clone(&shared)))
            .collect();
        Arc::new(Self {
            runtime,
            engines,
            key: "k".into(),
            tags: Tags::none("p".into()).with(options.tagged.then(tag)).unwrap(),
            stats: Arc::default(),
            database: AtomicU64::new(0),
            loads: AtomicU32::new(0),
            invalidations: AtomicU32::new(0),
            overlaps: AtomicU32::new(0),
            written: AtomicU32::new(0),
            stale: Mutex::default(),
        })
    }

    async fn pause(&self, longest: Duration) {
        let share = self.runtime.random() as f64 / u64::MAX as f64;
        self.runtime.sleep(longest.mul_f64(share)).await;
    }

    /// Reads the cache, or loads: what a service does for a request.
    async fn get(&self, engine: &Engine) -> u64 {
        let found = engine.read(&self.key, self.view()).await.unwrap();
        match found {
            Found::Entry { value, .. } => version(&value),
            Found::Unusable(standing, seen) => self.load(engine, Known::Read(standing, seen)).await,
            Found::Missing => {
                self.load(engine, Known::Read(Standing::Nothing, Seen::Nothing)).await
            }
        }
    }

    fn view(&self) -> View<'_> {
        View { tags: &self.tags, exactly: true, format: Format::Trailer(Foreign::Reject) }
    }

    fn writing(&self) -> Writing {
        let (tags, format) = (self.tags.clone(), self.view().format);
        Writing { tags, format, keep: LONG, stats: Arc::clone(&self.stats) }
    }

    async fn load(&self, engine: &Engine, known: Known) -> u64 {
        let call = Call {
            key: &self.key,
            identity: Identity { cache: 1, errors: TypeId::of::<()>(), takes_absent: false },
            view: self.view(),
            keep: LONG,
            judge: &Version,
            stats: &self.stats,
            wait_timeout: Duration::from_secs(60),
            max_waiters: usize::MAX,
            reload: false,
        };
        match engine.acquire(call, known).await {
            Acquisition::Hit(Value::Present(value)) => *value.downcast::<u64>().unwrap(),
            Acquisition::Lead(ticket) => {
                self.loads.fetch_add(1, Ordering::Relaxed);
                let before = self.invalidations.load(Ordering::Relaxed);
                let loaded = ticket.run(self.query_database()).await;
                let during = self.invalidations.load(Ordering::Relaxed) - before;
                self.overlaps.fetch_add(during, Ordering::Relaxed);
                let raw = Bytes::from(loaded.to_string());
                let value = Value::Present(Arc::new(loaded) as Arc<dyn Any + Send + Sync>);
                ticket.fill(Some(raw), LONG, value).await;
                loaded
            }
            other => panic!("{other:?}"),
        }
    }

    async fn query_database(&self) -> u64 {
        self.pause(Duration::from_millis(5)).await;
        let version = self.database.load(Ordering::Relaxed);
        self.pause(Duration::from_millis(5)).await;
        version
    }

    /// Calls again and again, and compares each answer with what was invalidated before.
    async fn call_often(self: Arc<Self>, caller: u64, options: Options, done: Arc<AtomicU64>) {
        let engine = &self.engines[(caller % options.processes) as usize];
        for _ in 0..options.calls {
            self.pause(Duration::from_millis(10)).await;
            let oldest_allowed = done.load(Ordering::Relaxed);
            if options.cancel && self.runtime.random().is_multiple_of(3) {
                self.cancelled_get(engine).await;
                continue;
            }
            let version = self.get(engine).await;
            if version < oldest_allowed {
                let text =
                    format!("caller {caller} got {version}, {oldest_allowed} was invalidated");
                self.stale.lock().unwrap().push(text);
            }
        }
    }

    /// Gives a call up somewhere on its way.
    async fn cancelled_get(&self, engine: &Engine) {
        let call = Box::pin(self.get(engine));
        let patience = Box::pin(self.pause(Duration::from_millis(15)));
        futures_util::future::select(call, patience).await;
    }

    /// Changes the row, invalidates, and takes note of what nobody may be given any more.
    async fn invalidate_often(self: Arc<Self>, options: Options, done: Arc<AtomicU64>) {
        let engine = &self.engines[(self.runtime.random() % options.processes) as usize];
        for _ in 0..options.calls / 2 {
            self.pause(Duration::from_millis(20)).await;
            let version = match options.write_through && self.runtime.random().is_multiple_of(2) {
                true => self.write_through(engine).await,
                false => {
                    let version = self.write_database().await;
                    self.invalidate(engine, options).await;
                    version
                }
            };
            self.invalidations.fetch_add(1, Ordering::Relaxed);
            done.fetch_max(version, Ordering::Relaxed);
        }
    }
}

impl World {
    /// Invalidates by key or, where the entry has one, by its tag.
    async fn invalidate(&self, engine: &Engine, options: Options) {
        if options.tagged && self.runtime.random().is_multiple_of(2) {
            engine.invalidate_tags(self.tags.keys().to_vec()).await.unwrap();
        } else {
            engine.invalidate(vec![self.key.clone()]).await.unwrap();
        }
    }

    /// Commits a new version somewhere between two pauses.
    async fn write_database(&self) -> u64 {
        self.pause(Duration::from_millis(5)).await;
        let version = self.database.fetch_add(1, Ordering::Relaxed) + 1;
        self.pause(Duration::from_millis(5)).await;
        version
    }

    async fn write_through(&self, engine: &Engine) -> u64 {
        let claim = engine.claim(self.key.clone(), self.writing()).await;
        let version = self.write_database().await;
        let settled = claim.store(Bytes::from(version.to_string()), LONG).await.unwrap();
        if settled == Settled::Stored {
            self.written.fetch_add(1, Ordering::Relaxed);
        }
        version
    }
}

/// Runs a world to its end.
fn run(seed: u64, options: Options) -> Arc<World> {
    let world = World::new(seed, options);
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks: Vec<hotshelf_core::BoxFuture<'static, ()>> = Vec::new();
    for caller in 0..options.callers {
        let (world, done) = (Arc::clone(&world), Arc::clone(&done));
        tasks.push(Box::pin(world.call_often(caller, options, done)));
    }
    for _ in 0..options.invalidators {
        let (world, done) = (Arc::clone(&world), Arc::clone(&done));
        tasks.push(Box::pin(world.invalidate_often(options, done)));
    }
    let runtime = world.runtime.clone();
    runtime.block_on(futures_util::future::join_all(tasks));
    world
}

const BUSY: Options = Options {
    processes: 3,
    callers: 9,
    calls: 12,
    invalidators: 2,
    cancel: false,
    write_through: false,
    tagged: false,
};

#[test]
fn nobody_is_given_what_was_invalidated() {
    let (mut overlaps, mut loads) = (0, 0);
    for seed in 0..300 {
        let world = run(seed, BUSY);
        let stale = world.stale.lock().unwrap();
        assert!(stale.is_empty(), "seed {seed}: {stale:?}");
        overlaps += world.overlaps.load(Ordering::Relaxed);
        loads += world.loads.load(Ordering::Relaxed);
    }
    println!("{loads} loads, {overlaps} invalidations while one ran");
    assert!(overlaps > 300, "the seeds hit too few overlaps: {overlaps}");
}

#[test]
fn nobody_is_given_what_was_written_over() {
    let mut written = 0;
    for seed in 0..300 {
        let world = run(seed, Options { write_through: true, ..BUSY });
        let stale = world.stale.lock().unwrap();
        assert!(stale.is_empty(), "seed {seed}: {stale:?}");
        written += world.written.load(Ordering::Relaxed);
    }
    println!("{written} writes stored");
    assert!(written > 300, "the seeds hit too few writes that were stored: {written}");
}

#[test]
fn nobody_is_given_what_was_invalidated_by_its_tag() {
    let mut overlaps = 0;
    for seed in 0..300 {
        let world = run(seed, Options { tagged: true, write_through: seed % 2 == 0, ..BUSY });
        let stale = world.stale.lock().unwrap();
        assert!(stale.is_empty(), "seed {seed}: {stale:?}");
        overlaps += world.overlaps.load(Ordering::Relaxed);
    }
    println!("{overlaps} invalidations while a load ran");
    assert!(overlaps > 300, "the seeds hit too few overlaps: {overlaps}");
}

#[test]
fn cancelled_callers_disturb_nobody() {
    let mut handed_over = 0;
    for seed in 0..300 {
        let world = run(seed, Options { cancel: true, ..BUSY });
        let stale = world.stale.lock().unwrap();
        assert!(stale.is_empty(), "seed {seed}: {stale:?}");
        handed_over += world.stats.read().handed_over;
        // A lease that nobody gave up would have kept the others waiting for 5 s.
        assert!(world.runtime.now() < Moment::after_start(Duration::from_secs(4)), "seed {seed}");
    }
    println!("{handed_over} flights handed over");
    assert!(handed_over > 100, "the seeds hit too few cancelled leaders: {handed_over}");
}

#[test]
fn a_key_is_loaded_once_over_all_processes() {
    for seed in 0..200 {
        let calm = Options { invalidators: 0, callers: 20, calls: 3, ..BUSY };
        let world = run(seed, calm);
        assert_eq!(world.loads.load(Ordering::Relaxed), 1, "seed {seed}");
    }
}

#[test]
fn a_key_is_loaded_at_most_once_for_each_invalidation() {
    for seed in 0..200 {
        let world = run(seed, BUSY);
        let loads = world.loads.load(Ordering::Relaxed);
        let invalidations = world.invalidations.load(Ordering::Relaxed);
        assert!(loads <= 1 + invalidations, "seed {seed}: {loads} > 1 + {invalidations}");
    }
}
