//! Flights: callers that load a key at once, cancel, fail and invalidate.

use std::any::TypeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use hotshelf_core::backend::{Acquire, Acquired, Backend, Seen, Token};
use hotshelf_core::cache::{
    CacheDefinition, CacheOptions, CallOptions, Loaded, SharedError, Value, ValueKind,
};
use hotshelf_core::codec::{Json, erase};
use hotshelf_core::{BoxFuture, ByteCache, ByteStore, Jitter, Key, Moment, Namespace, Runtime};
use hotshelf_memory::MemoryBackend;
use shuttle::rand::Rng;
use slow::Slow;

use super::{LONG, turns, under_many_schedules, up_to};

// Included as source, since the testkit depends on the core with its usual locks.
#[path = "../../../../crates/hotshelf-testkit/src/slow.rs"]
#[expect(unreachable_pub, reason = "public in a library")]
mod slow;

/// A runtime whose time stands still. A sleep lasts a few turns of the other threads, so that
/// no wait times out before the backend has answered.
#[derive(Debug)]
struct Schedule;

impl Runtime for Schedule {
    fn now(&self) -> Moment {
        Moment::default()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if duration >= LONG {
            return Box::pin(std::future::pending());
        }
        Box::pin(turns(2))
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        shuttle::future::spawn(future);
    }

    fn random(&self) -> u64 {
        shuttle::rand::thread_rng().r#gen()
    }
}

/// The state that the threads of a scenario share: one process, another one that writes, and
/// their source of truth.
struct World {
    cache: ByteCache,
    writer: ByteCache,
    backend: Arc<dyn Backend>,
    truth: AtomicU64,
    loads: AtomicU64,
}

const KEY: &str = "k";

impl World {
    fn new() -> Arc<Self> {
        let runtime: Arc<dyn Runtime> = Arc::new(Schedule);
        let memory = MemoryBackend::new(1 << 20, Arc::clone(&runtime));
        let slow = Slow::new(memory, Arc::clone(&runtime), Duration::from_millis(1));
        let backend: Arc<dyn Backend> = Arc::new(slow);
        Arc::new(Self {
            cache: cache_on(&backend, &runtime),
            writer: cache_on(&backend, &runtime),
            backend,
            truth: AtomicU64::new(1),
            loads: AtomicU64::new(0),
        })
    }

    /// Reads the cache, or loads. With `fails`, the loader fails.
    async fn get(&self, fails: bool) -> Result<u64, SharedError> {
        let (key, options) = (Ok(self.cache.key(&Key::new(KEY))), CallOptions::default());
        match self.cache.load(key, options, TypeId::of::<()>()).await {
            Loaded::Value(value) => Ok(version_of(value)),
            Loaded::Failed(error) => Err(error),
            Loaded::Refresh(..) | Loaded::BackingOff(_) | Loaded::TimedOut => {
                unreachable!("the cache has none of these options")
            }
            Loaded::Lead(ticket) => {
                self.loads.fetch_add(1, Ordering::SeqCst);
                let loaded = ticket.run(self.load()).await;
                if fails {
                    let error: SharedError = Arc::new(());
                    ticket.fail(&error).await;
                    return Err(error);
                }
                ticket.complete(Value::Present(Arc::new(loaded))).await;
                Ok(loaded)
            }
        }
    }

    async fn load(&self) -> u64 {
        let loaded = self.truth.load(Ordering::SeqCst);
        turns(up_to(16)).await;
        loaded
    }

    /// Begins a call, and may drop it at any point.
    async fn get_or_cancel(&self) {
        let call = std::pin::pin!(self.get(false));
        let leaving = std::pin::pin!(turns(up_to(12)));
        if let Either::Left((got, _)) = select(call, leaving).await {
            assert_eq!(got.ok(), Some(1));
        }
    }

    /// Changes the source of truth and invalidates: later calls must not get the old value.
    async fn change_by(&self, cache: &ByteCache) {
        // Calls that begin at the same time should be in progress.
        turns(up_to(20)).await;
        let version = self.truth.fetch_add(1, Ordering::SeqCst) + 1;
        cache.invalidate(vec![Ok(cache.key(&Key::new(KEY)))]).await.unwrap();
        assert!(self.get(false).await.unwrap_or(version) >= version, "got an outdated value");
    }

    /// Checks that the value is stored and no lease remains.
    async fn assert_at_rest(&self) {
        let truth = self.truth.load(Ordering::SeqCst);
        assert_eq!(self.get(false).await.ok(), Some(truth));
        // Cancelled calls are cleaned up in the background.
        let mut attempts = 1000;
        loop {
            let token = Token::random(&Schedule);
            let seen = Seen::Nothing;
            let key = &self.cache.wire_key(&Key::new(KEY));
            let acquire = Acquire {
                key,
                token,
                lease: LONG,
                seen,
                skip_foreign: false,
                replace_failure: false,
            };
            match self.backend.acquire(acquire).await.unwrap() {
                Acquired::Present(_) => return,
                left if attempts == 0 => panic!("{left:?} instead of an entry"),
                _ => attempts -= 1,
            }
            turns(1).await;
        }
    }
}

fn cache_on(backend: &Arc<dyn Backend>, runtime: &Arc<dyn Runtime>) -> ByteCache {
    let definition = CacheDefinition {
        namespace: Namespace::new("n"),
        kind: ValueKind::of::<u64>(),
        options: CacheOptions {
            time_to_live: LONG,
            jitter: Jitter::NONE,
            wait_timeout: LONG,
            backend_budget: LONG,
            max_waiters: usize::MAX,
            ..CacheOptions::default()
        },
        codec: erase::<u64>(Json),
        tag_rule: None,
    };
    ByteStore::new(Arc::clone(backend), Arc::clone(runtime)).cache(definition).unwrap()
}

fn version_of(value: Value) -> u64 {
    match value {
        Value::Present(value) => *value.downcast::<u64>().unwrap(),
        Value::Absent => panic!("all values are versions"),
    }
}

/// The call of one thread.
type Call = fn(Arc<World>) -> BoxFuture<'static, ()>;

/// Runs each call on its own thread, and waits for all of them.
fn on_threads(world: &Arc<World>, calls: &[Call]) {
    let threads: Vec<_> = calls
        .iter()
        .map(|call| {
            let call = call(Arc::clone(world));
            shuttle::thread::spawn(|| shuttle::future::block_on(call))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    shuttle::future::block_on(world.assert_at_rest());
}

fn get(world: Arc<World>) -> BoxFuture<'static, ()> {
    Box::pin(async move { assert_eq!(world.get(false).await.ok(), Some(1)) })
}

fn get_or_cancel(world: Arc<World>) -> BoxFuture<'static, ()> {
    Box::pin(async move { world.get_or_cancel().await })
}

fn get_any(world: Arc<World>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let start = world.truth.load(Ordering::SeqCst);
        // A changed value may not have been invalidated yet.
        assert!(world.get(false).await.unwrap() + 1 >= start);
    })
}

fn fail(world: Arc<World>) -> BoxFuture<'static, ()> {
    Box::pin(async move { drop(world.get(true).await) })
}

fn change(world: Arc<World>) -> BoxFuture<'static, ()> {
    Box::pin(async move { world.change_by(&world.cache).await })
}

fn change_elsewhere(world: Arc<World>) -> BoxFuture<'static, ()> {
    Box::pin(async move { world.change_by(&world.writer).await })
}

#[test]
fn one_of_many_threads_loads() {
    under_many_schedules(|| {
        let world = World::new();
        on_threads(&world, &[get, get, get]);
        assert_eq!(world.loads.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn cancelled_callers_leave_no_waiters() {
    under_many_schedules(|| on_threads(&World::new(), &[get_or_cancel, get, get_or_cancel, get]));
}

#[test]
fn all_callers_may_be_cancelled() {
    under_many_schedules(|| {
        on_threads(&World::new(), &[get_or_cancel, get_or_cancel, get_or_cancel])
    });
}

#[test]
fn invalidated_values_are_not_served() {
    under_many_schedules(|| on_threads(&World::new(), &[get_any, change, get_any, get_any]));
}

#[test]
fn remote_invalidation_is_respected() {
    under_many_schedules(|| {
        on_threads(&World::new(), &[get_any, change_elsewhere, get_any, get_any]);
    });
}

#[test]
fn failed_load_leaves_no_waiters() {
    under_many_schedules(|| {
        let joining = |world: Arc<World>| -> BoxFuture<'static, ()> {
            Box::pin(async move { drop(world.get(false).await) })
        };
        on_threads(&World::new(), &[fail, joining, fail, joining]);
    });
}
