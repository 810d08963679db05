//! Leases that are of no use are released at once: others would wait until they expire.

use std::any::TypeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::join;
use hotshelf_core::backend::{Acquire, Acquired, Operation, Seen, Token};
use hotshelf_core::cache::{
    CacheDefinition, CacheOptions, CallOptions, Filled, LoadTicket, Loaded, Mode, Value, ValueKind,
};
use hotshelf_core::codec::{Json, Opaque};
use hotshelf_core::{
    Backend, ByteCache, ByteStore, Error, ErrorKind, Key, Namespace, Runtime, WireKey,
};
use hotshelf_memory::MemoryBackend;
use hotshelf_testkit::{Fault, FaultyBackend, SimRuntime};

/// A cache on a backend with injected faults.
struct Bench {
    runtime: SimRuntime,
    backend: Arc<FaultyBackend<MemoryBackend>>,
    cache: ByteCache,
}

impl Bench {
    fn with(fault: Fault) -> Self {
        let runtime = SimRuntime::new(1);
        let shared: Arc<dyn Runtime> = Arc::new(runtime.clone());
        let memory = MemoryBackend::new(1 << 20, Arc::clone(&shared));
        let backend = Arc::new(FaultyBackend::new(memory, fault));
        let store = ByteStore::new(Arc::clone(&backend) as Arc<dyn Backend>, shared);
        let options = CacheOptions {
            wait_timeout: Duration::from_secs(1),
            backend_budget: Duration::MAX,
            max_waiters: 1,
            ..CacheOptions::default()
        };
        let definition = CacheDefinition {
            namespace: Namespace::new("n"),
            kind: ValueKind::of::<u32>(),
            options,
            codec: Arc::new(Json::<u32>::default()),
            tag_rule: None,
        };
        Self { runtime, backend, cache: store.cache(definition).unwrap() }
    }

    fn key(&self, key: &str) -> WireKey {
        self.cache.wire_key(&Key::new(key))
    }

    /// Loads a key whose entry has a tag, without reading it before, and has to lead.
    async fn lead(&self, key: &str) -> LoadTicket {
        let options = tagged().mode(Mode::Reload);
        match self.cache.load(Ok(self.key(key).into()), options, TypeId::of::<()>()).await {
            Loaded::Lead(ticket) => *ticket,
            other => panic!("it leads, and has no {other:?}"),
        }
    }

    /// Inserts into these keys, whose entries all have the tag.
    async fn insert(&self, keys: &[&str]) -> Vec<Result<bool, Error>> {
        let insert = |key: &&str| (Ok(self.key(key).into()), &1_u32 as &Opaque);
        self.cache.insert(keys.iter().map(insert), &tagged()).send_each().await
    }

    /// Reports whether no lease of a key is held, once the background has done its work.
    async fn is_free(&self, key: &str) -> bool {
        self.runtime.sleep(Duration::from_millis(1)).await;
        let acquire = Acquire {
            key: &self.key(key),
            token: Token::random(&self.runtime),
            lease: Duration::from_secs(5),
            seen: Seen::Nothing,
            skip_foreign: false,
        };
        matches!(self.backend.acquire(acquire).await, Ok(Acquired::Granted(_)))
    }
}

fn tagged() -> CallOptions {
    CallOptions::default().tags(Ok(["t"]))
}

fn kinds(answers: Vec<Result<bool, Error>>) -> Vec<Result<bool, ErrorKind>> {
    answers.into_iter().map(|answer| answer.map_err(|error| error.kind())).collect()
}

#[test]
fn of_a_load_whose_tags_cant_be_captured() {
    let bench = Bench::with(|operation, _| {
        matches!(operation, Operation::Capture(_)).then_some(ErrorKind::Unavailable)
    });
    bench.runtime.block_on(async {
        let ticket = bench.lead("k").await;
        assert!(!ticket.can_store());
        assert!(bench.is_free("k").await, "while it loads");
    });
}

#[test]
fn of_a_load_that_cant_be_stored() {
    let bench = Bench::with(|operation, _| {
        matches!(operation, Operation::Store(_)).then_some(ErrorKind::Unavailable)
    });
    bench.runtime.block_on(async {
        let ticket = bench.lead("k").await;
        let filled = ticket.complete(Value::Present(Arc::new(1_u32))).await;
        assert_eq!(filled, Filled::Unstored);
        assert!(bench.is_free("k").await);
    });
}

/// What was sent under the old token may be executed late. So the next leader has its own.
#[test]
fn of_a_load_that_cant_be_stored_even_if_another_leads_on() {
    let bench = Bench::with(|operation, _| {
        matches!(operation, Operation::Store(_)).then_some(ErrorKind::Timeout)
    });
    bench.runtime.block_on(async {
        let ticket = bench.lead("k").await;
        let fill = ticket.complete(Value::Present(Arc::new(1_u32)));
        let (successor, filled) = join(bench.lead("k"), fill).await;
        assert_eq!(filled, Filled::Unstored);
        assert!(successor.can_store(), "it came too late for the value");
        bench.runtime.sleep(Duration::from_millis(1)).await;
        assert_eq!(bench.backend.releases(), 1);
    });
}

#[test]
fn of_an_insert_whose_tags_cant_be_captured() {
    let bench = Bench::with(|operation, key| match (operation, key.as_str()) {
        (Operation::Take(_), key) if key.ends_with(":b") => Some(ErrorKind::Timeout),
        (Operation::Take(_), key) if key.ends_with(":c") => Some(ErrorKind::Server),
        (Operation::Capture(_), _) => Some(ErrorKind::Unavailable),
        _ => None,
    });
    bench.runtime.block_on(async {
        let answers = kinds(bench.insert(&["a", "b", "c"]).await);
        let (tags, own) = (Err(ErrorKind::Unavailable), Err(ErrorKind::Timeout));
        assert_eq!(answers, [tags, own, Err(ErrorKind::Server)], "each says its own trouble");
        assert!(bench.is_free("a").await && bench.is_free("b").await);
        assert_eq!(bench.backend.releases(), 2, "once for each that may be held");
    });
}

#[test]
fn of_an_insert_that_may_have_been_granted() {
    let bench = Bench::with(|operation, key| {
        (matches!(operation, Operation::Take(_)) && key.as_str().ends_with(":a"))
            .then_some(ErrorKind::Timeout)
    });
    bench.runtime.block_on(async {
        let answers = kinds(bench.insert(&["a", "b"]).await);
        assert_eq!(answers, [Err(ErrorKind::Timeout), Ok(true)]);
        assert!(bench.is_free("a").await);
        assert_eq!(bench.backend.releases(), 1);
    });
}

#[test]
fn of_an_insert_that_cant_be_stored() {
    let bench = Bench::with(|operation, key| {
        (matches!(operation, Operation::Store(_)) && key.as_str().ends_with(":a"))
            .then_some(ErrorKind::Unavailable)
    });
    bench.runtime.block_on(async {
        let answers = kinds(bench.insert(&["a", "b"]).await);
        assert_eq!(answers, [Err(ErrorKind::Unavailable), Ok(true)]);
        assert!(bench.is_free("a").await);
        assert_eq!(bench.backend.releases(), 1);
    });
}

/// A connection that was lost takes a while to come back, and the server may have granted
/// what it was asked for before.
#[test]
fn by_a_backend_that_is_in_trouble_for_a_while() {
    static IN_TROUBLE: AtomicU32 = AtomicU32::new(3);
    let bench = Bench::with(|operation, _| match operation {
        Operation::Capture(_) => Some(ErrorKind::Unavailable),
        Operation::Release(_) => {
            let left = |left: u32| left.checked_sub(1);
            IN_TROUBLE.fetch_update(Relaxed, Relaxed, left).ok().map(|_| ErrorKind::Unavailable)
        }
        _ => None,
    });
    bench.runtime.block_on(async {
        let _ticket = bench.lead("k").await;
        assert!(!bench.is_free("k").await);
        bench.runtime.sleep(Duration::from_millis(500)).await;
        assert!(bench.is_free("k").await, "long before its five seconds are over");
        assert_eq!(bench.backend.releases(), 4);
    });
}

/// Nobody is told for ever, nor what will never take it.
#[test]
fn not_for_longer_than_they_last() {
    for (kind, most) in [(ErrorKind::Unavailable, 12), (ErrorKind::Closed, 1)] {
        let fault: Fault = match kind {
            ErrorKind::Closed => |operation, _| match operation {
                Operation::Capture(_) => Some(ErrorKind::Unavailable),
                Operation::Release(_) => Some(ErrorKind::Closed),
                _ => None,
            },
            _ => |operation, _| match operation {
                Operation::Capture(_) | Operation::Release(_) => Some(ErrorKind::Unavailable),
                _ => None,
            },
        };
        let bench = Bench::with(fault);
        bench.runtime.block_on(async {
            let _ticket = bench.lead("k").await;
            bench.runtime.sleep(Duration::from_secs(60)).await;
            assert!((1..=most).contains(&bench.backend.releases()));
        });
    }
}
