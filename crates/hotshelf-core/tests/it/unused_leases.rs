//! Leases that come to nothing are given back at once: others would wait for the whole of
//! them.

use std::any::TypeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use hotshelf_core::backend::{Acquire, Acquired, Operation, Seen, Stored, Token};
use hotshelf_core::engine::{
    Acquisition, Call, Engine, Filled, Foreign, Format, Identity, Insert, Judge, Known, Standing,
    Value, Verdict, View, Writing,
};
use hotshelf_core::tag::{TagId, Tags};
use hotshelf_core::{Backend, Error, ErrorKind, Runtime, Stats, Ttl, WireKey};
use hotshelf_memory::MemoryBackend;
use hotshelf_testkit::{Fault, FaultyBackend, SimRuntime};

const FORMAT: Format = Format::Trailer(Foreign::Reject);

/// An engine on a backend with injected faults.
struct Bench {
    runtime: SimRuntime,
    backend: Arc<FaultyBackend<MemoryBackend>>,
    engine: Engine,
    tags: Tags,
    stats: Arc<Stats>,
}

/// A cache in which nothing is ever found.
struct Nothing;

impl Judge for Nothing {
    fn judge(&self, _: &Bytes, _: bool) -> Verdict {
        Verdict::NoAnswer
    }
}

impl Bench {
    fn with(fault: Fault) -> Self {
        let runtime = SimRuntime::new(1);
        let shared: Arc<dyn Runtime> = Arc::new(runtime.clone());
        let memory = MemoryBackend::new(1 << 20, Arc::clone(&shared));
        let backend = Arc::new(FaultyBackend::new(memory, fault));
        let engine = Engine::new(Arc::clone(&backend) as Arc<dyn Backend>, shared);
        let tags = Tags::new("test".into(), [TagId::of("t").unwrap()]).unwrap();
        Self { runtime, backend, engine, tags, stats: Arc::default() }
    }

    async fn acquire(&self, key: &str) -> Acquisition {
        let call = Call {
            key: &key.into(),
            identity: Identity { cache: 1, errors: TypeId::of::<()>(), takes_absent: false },
            view: View { tags: &self.tags, exactly: true, format: FORMAT },
            keep: Ttl::MAX,
            judge: &Nothing,
            stats: &self.stats,
            wait_timeout: Duration::from_secs(1),
            backend_budget: Duration::MAX,
            max_waiters: 1,
            reload: false,
        };
        self.engine.acquire(call, Known::Read(Standing::Nothing, Seen::Nothing)).await
    }

    /// Inserts into these keys, which all have the tag.
    async fn insert(&self, keys: &[&str]) -> Vec<Result<Stored, Error>> {
        let insert = |key: &&str| Insert {
            key: (*key).into(),
            value: Bytes::from_static(b"1"),
            ttl: Ttl::MAX,
        };
        let writing = Writing {
            tags: self.tags.clone(),
            format: FORMAT,
            keep: Ttl::MAX,
            stats: Arc::clone(&self.stats),
        };
        self.engine.insert(keys.iter().map(insert).collect(), writing).await
    }

    /// Says whether nobody holds the lease of a key, once the background has done its work.
    async fn is_free(&self, key: &str) -> bool {
        self.runtime.sleep(Duration::from_millis(1)).await;
        let acquire = Acquire {
            key: &WireKey::from(key),
            token: Token::random(&self.runtime),
            lease: Duration::from_secs(5),
            seen: Seen::Nothing,
            skip_foreign: false,
        };
        matches!(self.backend.acquire(acquire).await, Ok(Acquired::Granted(_)))
    }
}

fn kinds(answers: Vec<Result<Stored, Error>>) -> Vec<Result<Stored, ErrorKind>> {
    answers.into_iter().map(|answer| answer.map_err(|error| error.kind())).collect()
}

#[test]
fn of_a_load_whose_tags_cant_be_captured() {
    let bench = Bench::with(|operation, _| {
        matches!(operation, Operation::Capture(_)).then_some(ErrorKind::Unavailable)
    });
    bench.runtime.block_on(async {
        let Acquisition::Lead(ticket) = bench.acquire("k").await else { panic!("it leads") };
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
        let Acquisition::Lead(ticket) = bench.acquire("k").await else { panic!("it leads") };
        let filled = ticket.fill(Some(Bytes::from_static(b"1")), Ttl::MAX, Value::Absent).await;
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
        let Acquisition::Lead(ticket) = bench.acquire("k").await else { panic!("it leads") };
        let fill = ticket.fill(Some(Bytes::from_static(b"1")), Ttl::MAX, Value::Absent);
        let (heir, filled) = join(bench.acquire("k"), fill).await;
        assert_eq!(filled, Filled::Unstored);
        let Acquisition::Lead(heir) = heir else { panic!("it came too late for the value") };
        assert!(heir.can_store());
        bench.runtime.sleep(Duration::from_millis(1)).await;
        assert_eq!(bench.backend.releases(), 1);
    });
}

#[test]
fn of_an_insert_whose_tags_cant_be_captured() {
    let bench = Bench::with(|operation, key| match (operation, key.as_str()) {
        (Operation::Take(_), "b") => Some(ErrorKind::Timeout),
        (Operation::Take(_), "c") => Some(ErrorKind::Server),
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
        (matches!(operation, Operation::Take(_)) && key.as_str() == "a")
            .then_some(ErrorKind::Timeout)
    });
    bench.runtime.block_on(async {
        let answers = kinds(bench.insert(&["a", "b"]).await);
        assert_eq!(answers, [Err(ErrorKind::Timeout), Ok(Stored::Stored)]);
        assert!(bench.is_free("a").await);
        assert_eq!(bench.backend.releases(), 1);
    });
}

#[test]
fn of_an_insert_that_cant_be_stored() {
    let bench = Bench::with(|operation, key| {
        (matches!(operation, Operation::Store(_)) && key.as_str() == "a")
            .then_some(ErrorKind::Unavailable)
    });
    bench.runtime.block_on(async {
        let answers = kinds(bench.insert(&["a", "b"]).await);
        assert_eq!(answers, [Err(ErrorKind::Unavailable), Ok(Stored::Stored)]);
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
        let Acquisition::Lead(_ticket) = bench.acquire("k").await else { panic!("it leads") };
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
            let Acquisition::Lead(_ticket) = bench.acquire("k").await else { panic!("it leads") };
            bench.runtime.sleep(Duration::from_secs(60)).await;
            assert!((1..=most).contains(&bench.backend.releases()));
        });
    }
}
