//! The near tier: replies that are admitted while their key changes, and entries that are found
//! while they end.
//!
//! Every test has readers, and one thread that changes the entry and carries out what follows
//! from that: a report, the loss of the connections, an own invalidation. A reader that begins
//! after that was done must never get the old entry.
//!
//! The table of entries, the values that were decoded and the mark of an outdated entry have no
//! points of their own at which shuttle switches: each is one step here.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::LocalEntries;
use hotshelf_core::cache::{CacheDefinition, CacheOptions, ReadOutcome, Value, ValueKind};
use hotshelf_core::codec::{BoxError, Codec, Json, erase};
use hotshelf_core::near::NearOptions;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{
    Backend, BoxFuture, ByteCache, ByteStore, Jitter, Key, Moment, Namespace, Runtime, WireKey,
};
use hotshelf_memory::MemoryBackend;
use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::tracking::{EPOCH, NEW, OLD, Server, version_of};
use super::{LONG, turns, under_many_schedules, up_to};

/// A clock that is set.
#[derive(Clone, Debug, Default)]
struct Clock {
    millis: Arc<AtomicU64>,
    /// For how many turns the next thread that reads the clock waits before, at most. Not an
    /// atomic of shuttle's, so that it is the thread that has set it.
    read_late_by: Arc<AtomicU32>,
}

impl Runtime for Clock {
    fn now(&self) -> Moment {
        let turns = up_to(self.read_late_by.swap(0, Ordering::SeqCst));
        (0..turns).for_each(|_| shuttle::thread::yield_now());
        Moment::after_start(Duration::from_millis(self.millis.load(Ordering::SeqCst)))
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        shuttle::future::spawn(future);
    }

    fn random(&self) -> u64 {
        0
    }
}

/// Decodes numbers, and lets other threads run meanwhile.
struct Switching;

impl Codec<u64> for Switching {
    fn decode(&self, encoded: &Bytes) -> Result<u64, BoxError> {
        shuttle::thread::yield_now();
        Json.decode(encoded)
    }

    fn encode(&self, value: &u64) -> Result<Bytes, BoxError> {
        Json.encode(value)
    }

    fn name(&self) -> Cow<'static, str> {
        hotshelf_core::codec::JSON.into()
    }
}

/// What the threads of a scenario share.
struct World {
    clock: Clock,
    server: Arc<Server>,
    cache: ByteCache,
    key: WireKey,
    /// Whether the change was made known to the process.
    processed: AtomicBool,
    /// The value of the first reader, where all share it.
    kept: Mutex<Option<Arc<u64>>>,
}

const KEY: &str = "k";

impl World {
    fn new() -> Arc<Self> {
        let clock = Clock::default();
        let runtime: Arc<dyn Runtime> = Arc::new(clock.clone());
        let server = Arc::new(Server::new(MemoryBackend::new(1 << 20, Arc::clone(&runtime))));
        let backend = Arc::clone(&server) as Arc<dyn Backend>;
        let near = Some(NearOptions::default().max_bytes(1 << 20));
        let store = ByteStore::with_options(backend, runtime, LEASE, near).unwrap();
        let definition = CacheDefinition {
            namespace: Namespace::new("n"),
            kind: ValueKind::of::<u64>(),
            options: CacheOptions {
                time_to_live: LONG,
                jitter: Jitter::NONE,
                ..CacheOptions::default()
            },
            codec: erase(Switching),
            tag_rule: None,
        };
        let cache = store.cache(definition).unwrap();
        let key = cache.wire_key(&Key::new(KEY));
        let world = Self {
            clock,
            server,
            cache,
            key,
            processed: AtomicBool::new(false),
            kept: Mutex::default(),
        };
        (0..2).for_each(|connection| world.answer_ping(connection));
        Arc::new(world)
    }

    /// Records the answer to a ping that has just been sent.
    fn answer_ping(&self, connection: usize) {
        let millis = self.clock.millis.load(Ordering::SeqCst);
        let now = Moment::after_start(Duration::from_millis(millis));
        let source = &self.server.sources()[connection];
        source.read_clock(now, now, Some(EPOCH + millis));
        source.answered(now);
    }

    /// Reads through the cache.
    async fn read(&self) -> Arc<u64> {
        let began_after = self.processed.load(Ordering::SeqCst);
        let read = self.cache.read(Ok(self.cache.key(&Key::new(KEY)))).await.unwrap();
        let ReadOutcome::Hit(Value::Present(value)) = read else { panic!("there is an entry") };
        let value = value.downcast::<u64>().unwrap();
        assert!(!began_after || *value == NEW, "read an outdated entry");
        value
    }

    /// Looks into the near tier.
    fn look(&self) -> Option<u64> {
        let began_after = self.processed.load(Ordering::SeqCst);
        let found = self.server.near().get(&self.key).unwrap();
        let version = found.map(|found| version_of(found.entry.raw()));
        assert!(!began_after || version != Some(OLD), "found an outdated entry");
        version
    }

    /// Changes the entry, and handles the reports of both connections.
    fn change_and_report(&self) {
        self.server.change();
        for connection in 0..2 {
            self.server.receive(connection, &self.key);
        }
    }
}

const LEASE: Duration = Duration::from_secs(5);

/// What one thread does.
type Act = fn(Arc<World>) -> BoxFuture<'static, ()>;

/// Runs each act on its own thread, and checks that the old entry is gone.
fn on_threads(world: &Arc<World>, acts: &[Act]) {
    run(world, acts);
    assert!(world.processed.load(Ordering::SeqCst));
    world.look();
}

/// Runs each act on its own thread.
fn run(world: &Arc<World>, acts: &[Act]) {
    let threads: Vec<_> = acts
        .iter()
        .map(|act| {
            let act = act(Arc::clone(world));
            shuttle::thread::spawn(|| shuttle::future::block_on(act))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Reads twice: what the first one admits, the second one may find.
fn read_twice(world: Arc<World>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        world.read().await;
        world.read().await;
    })
}

/// Lets readers begin, and then changes the entry in a way.
async fn change(world: Arc<World>, way: impl AsyncFnOnce(&World)) {
    turns(up_to(8)).await;
    way(&world).await;
    world.processed.store(true, Ordering::SeqCst);
    world.look();
    turns(up_to(4)).await;
    world.look();
}

fn report(world: Arc<World>) -> BoxFuture<'static, ()> {
    Box::pin(change(world, async |world| world.change_and_report()))
}

#[test]
fn report_races_admission() {
    under_many_schedules(|| on_threads(&World::new(), &[read_twice, read_twice, report]));
}

#[test]
fn lost_connections_race_admission() {
    fn lose(world: Arc<World>) -> BoxFuture<'static, ()> {
        Box::pin(change(world, async |world| {
            world.server.change();
            world.server.sources().iter().for_each(|source| source.end());
        }))
    }
    under_many_schedules(|| on_threads(&World::new(), &[read_twice, read_twice, lose]));
}

#[test]
fn report_of_everything_races_admission() {
    fn flush(world: Arc<World>) -> BoxFuture<'static, ()> {
        Box::pin(change(world, async |world| {
            world.server.change();
            world.server.near().flush();
        }))
    }
    under_many_schedules(|| on_threads(&World::new(), &[read_twice, read_twice, flush]));
}

#[test]
fn own_invalidation_races_admission() {
    fn invalidate(world: Arc<World>) -> BoxFuture<'static, ()> {
        Box::pin(change(world, async |world| {
            world.cache.invalidate(vec![Ok(world.cache.key(&Key::new(KEY)))]).await.unwrap();
        }))
    }
    under_many_schedules(|| on_threads(&World::new(), &[read_twice, read_twice, invalidate]));
}

#[test]
fn own_invalidation_by_pattern_races_admission() {
    fn invalidate(world: Arc<World>) -> BoxFuture<'static, ()> {
        Box::pin(change(world, async |world| {
            world.cache.invalidate_pattern(Ok("k*"), false).await.unwrap();
        }))
    }
    under_many_schedules(|| on_threads(&World::new(), &[read_twice, read_twice, invalidate]));
}

/// Returns a world in which an entry was admitted, was read over both connections, and these have
/// been silent for longer than the bound. A reader must not use it on the word of a ping that is
/// answered behind the report of its change.
fn silent_world() -> Arc<World> {
    let world = World::new();
    shuttle::future::block_on(world.read());
    world.server.track_on_both();
    world.clock.millis.store(3_000, Ordering::SeqCst);
    world
}

/// Finds the entry, and looks at the clock and at the rest later.
fn look_late(world: Arc<World>, turns: u32) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        world.clock.read_late_by.store(turns, Ordering::SeqCst);
        let found = world.server.near().get(&world.key).unwrap();
        let version = found.map(|found| version_of(found.entry.raw()));
        assert_ne!(version, Some(OLD), "used an entry that nobody vouches for");
    })
}

/// Handles the report of a connection, if the entry has changed, and the answer to a ping.
fn handle(world: &World, connection: usize) {
    if world.server.receive(connection, &world.key) {
        world.answer_ping(connection);
    }
}

/// The report of one connection removes the entry, while the other one handles its own.
#[test]
fn found_entry_is_not_revived_by_a_ping() {
    fn look(world: Arc<World>) -> BoxFuture<'static, ()> {
        look_late(world, 3)
    }
    fn first(world: Arc<World>) -> BoxFuture<'static, ()> {
        Box::pin(async move { handle(&world, 0) })
    }
    fn second(world: Arc<World>) -> BoxFuture<'static, ()> {
        Box::pin(async move { handle(&world, 1) })
    }
    under_many_schedules(|| {
        let world = silent_world();
        world.server.change();
        run(&world, &[look, first, second]);
        assert_eq!(world.look(), None);
    });
}

/// Another reader replaces the entry.
#[test]
fn replaced_entry_is_not_revived_by_a_ping() {
    fn look(world: Arc<World>) -> BoxFuture<'static, ()> {
        look_late(world, 100)
    }
    fn read(world: Arc<World>) -> BoxFuture<'static, ()> {
        Box::pin(async move { drop(world.read().await) })
    }
    fn first(world: Arc<World>) -> BoxFuture<'static, ()> {
        Box::pin(change(world, async |world| {
            world.server.change();
            handle(world, 0);
        }))
    }
    under_many_schedules(|| on_threads(&silent_world(), &[look, read, first]));
}

/// Several may find that the entry was not decoded yet: the value of one of them is kept.
#[test]
fn readers_decode_at_once() {
    fn read(world: Arc<World>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let value = world.read().await;
            let mut kept = world.kept.lock();
            assert!(Arc::ptr_eq(kept.get_or_insert_with(|| Arc::clone(&value)), &value));
        })
    }
    under_many_schedules(|| {
        let world = World::new();
        // The value of a reply is decoded apart from that of the admitted entry.
        shuttle::future::block_on(world.read());
        let acts: [Act; 3] = [read; 3];
        run(&world, &acts);
    });
}

#[test]
fn report_races_decoding() {
    fn read(world: Arc<World>) -> BoxFuture<'static, ()> {
        Box::pin(async move { drop(world.read().await) })
    }
    under_many_schedules(|| {
        let world = World::new();
        shuttle::future::block_on(world.read());
        on_threads(&world, &[read, read_twice, report]);
    });
}
