//! Unused leases are released at once: otherwise others would wait until they expire.

use std::any::TypeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::join;
use hotshelf_core::backend::{Acquire, Acquired, Operation, Seen, Token};
use hotshelf_core::cache::{
    CacheDefinition, CacheOptions, CallOptions, Filled, LoadTicket, Loaded, Mode, Value, ValueKind,
};
use hotshelf_core::codec::{Json, Opaque, erase};
use hotshelf_core::{
    Backend, ByteCache, ByteStore, Error, ErrorKind, Key, Namespace, Runtime, WireKey,
};
use hotshelf_memory::MemoryBackend;
use hotshelf_testkit::{Fault, FaultyBackend, SimRuntime};

/// A cache on a backend with injected faults.
struct Fixture {
    runtime: SimRuntime,
    backend: Arc<FaultyBackend<MemoryBackend>>,
    cache: ByteCache,
}

impl Fixture {
    fn new(fault: Fault) -> Self {
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
            codec: erase::<u32>(Json),
            tag_rule: None,
        };
        Self { runtime, backend, cache: store.cache(definition).unwrap() }
    }

    fn key(&self, key: &str) -> WireKey {
        self.cache.wire_key(&Key::new(key))
    }

    /// Loads a key with a tag, without reading it first. The caller must become the leader.
    async fn lead(&self, key: &str) -> LoadTicket {
        let options = tagged().mode(Mode::Reload);
        match self.cache.load(Ok(self.key(key).into()), options, TypeId::of::<()>()).await {
            Loaded::Lead(ticket) => *ticket,
            other => panic!("expected to lead, got {other:?}"),
        }
    }

    /// Inserts a value with the tag under each of these keys.
    async fn insert(&self, keys: &[&str]) -> Vec<Result<bool, Error>> {
        let insert = |key: &&str| (Ok(self.key(key).into()), &1_u32 as &Opaque);
        self.cache.insert(keys.iter().map(insert), &tagged()).send_each().await
    }

    /// Returns `true` if the lease of a key is free after background work is done.
    async fn is_free(&self, key: &str) -> bool {
        self.runtime.sleep(Duration::from_millis(1)).await;
        let acquire = Acquire {
            key: &self.key(key),
            token: Token::random(&self.runtime),
            lease: Duration::from_secs(5),
            seen: Seen::Nothing,
            skip_foreign: false,
            replace_failure: false,
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
fn failed_capture_releases_lease_of_load() {
    let fixture = Fixture::new(|operation, _| {
        matches!(operation, Operation::Capture(_)).then_some(ErrorKind::Unavailable)
    });
    fixture.runtime.block_on(async {
        let ticket = fixture.lead("k").await;
        assert!(!ticket.can_store());
        assert!(fixture.is_free("k").await, "while it loads");
    });
}

#[test]
fn failed_store_releases_lease_of_load() {
    let fixture = Fixture::new(|operation, _| {
        matches!(operation, Operation::Store(_)).then_some(ErrorKind::Unavailable)
    });
    fixture.runtime.block_on(async {
        let ticket = fixture.lead("k").await;
        let filled = ticket.complete(Value::Present(Arc::new(1_u32))).await;
        assert_eq!(filled, Filled::Unstored);
        assert!(fixture.is_free("k").await);
    });
}

/// A fill with the old token may be executed late, so the next leader needs its own lease.
#[test]
fn successor_gets_its_own_lease() {
    let fixture = Fixture::new(|operation, _| {
        matches!(operation, Operation::Store(_)).then_some(ErrorKind::Timeout)
    });
    fixture.runtime.block_on(async {
        let ticket = fixture.lead("k").await;
        let fill = ticket.complete(Value::Present(Arc::new(1_u32)));
        let (successor, filled) = join(fixture.lead("k"), fill).await;
        assert_eq!(filled, Filled::Unstored);
        assert!(successor.can_store(), "it joined too late for the value");
        fixture.runtime.sleep(Duration::from_millis(1)).await;
        assert_eq!(fixture.backend.releases(), 1);
    });
}

#[test]
fn failed_capture_releases_leases_of_insert() {
    let fixture = Fixture::new(|operation, key| match (operation, key.as_str()) {
        (Operation::Take(_), key) if key.ends_with(":b") => Some(ErrorKind::Timeout),
        (Operation::Take(_), key) if key.ends_with(":c") => Some(ErrorKind::Server),
        (Operation::Capture(_), _) => Some(ErrorKind::Unavailable),
        _ => None,
    });
    fixture.runtime.block_on(async {
        let answers = kinds(fixture.insert(&["a", "b", "c"]).await);
        let (tags, own) = (Err(ErrorKind::Unavailable), Err(ErrorKind::Timeout));
        assert_eq!(answers, [tags, own, Err(ErrorKind::Server)], "each has its own error");
        assert!(fixture.is_free("a").await && fixture.is_free("b").await);
        assert_eq!(fixture.backend.releases(), 2, "once for each lease that may be held");
    });
}

#[test]
fn timed_out_take_releases_lease() {
    let fixture = Fixture::new(|operation, key| {
        (matches!(operation, Operation::Take(_)) && key.as_str().ends_with(":a"))
            .then_some(ErrorKind::Timeout)
    });
    fixture.runtime.block_on(async {
        let answers = kinds(fixture.insert(&["a", "b"]).await);
        assert_eq!(answers, [Err(ErrorKind::Timeout), Ok(true)]);
        assert!(fixture.is_free("a").await);
        assert_eq!(fixture.backend.releases(), 1);
    });
}

#[test]
fn failed_store_releases_lease_of_insert() {
    let fixture = Fixture::new(|operation, key| {
        (matches!(operation, Operation::Store(_)) && key.as_str().ends_with(":a"))
            .then_some(ErrorKind::Unavailable)
    });
    fixture.runtime.block_on(async {
        let answers = kinds(fixture.insert(&["a", "b"]).await);
        assert_eq!(answers, [Err(ErrorKind::Unavailable), Ok(true)]);
        assert!(fixture.is_free("a").await);
        assert_eq!(fixture.backend.releases(), 1);
    });
}

/// A lost connection takes a while to come back, and the server may have granted an earlier
/// request.
#[test]
fn release_is_retried() {
    static FAILURES_LEFT: AtomicU32 = AtomicU32::new(3);
    let fixture = Fixture::new(|operation, _| match operation {
        Operation::Capture(_) => Some(ErrorKind::Unavailable),
        Operation::Release(_) => {
            let left = |left: u32| left.checked_sub(1);
            FAILURES_LEFT.fetch_update(Relaxed, Relaxed, left).ok().map(|_| ErrorKind::Unavailable)
        }
        _ => None,
    });
    fixture.runtime.block_on(async {
        let _ticket = fixture.lead("k").await;
        assert!(!fixture.is_free("k").await);
        fixture.runtime.sleep(Duration::from_millis(500)).await;
        assert!(fixture.is_free("k").await, "long before it expires");
        assert_eq!(fixture.backend.releases(), 4);
    });
}

/// Releases are not repeated for ever, and not on a closed store.
#[test]
fn release_retries_are_bounded() {
    for (kind, most) in [(ErrorKind::Unavailable, 24), (ErrorKind::Closed, 1)] {
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
        let fixture = Fixture::new(fault);
        fixture.runtime.block_on(async {
            let _ticket = fixture.lead("k").await;
            fixture.runtime.sleep(Duration::from_secs(60)).await;
            assert!((1..=most).contains(&fixture.backend.releases()));
        });
    }
}

/// The write may have been committed, so that its invalidation is repeated if it fails.
#[test]
fn failed_invalidation_of_write_is_repeated() {
    for sends in [false, true] {
        let fixture = Fixture::new(|operation, _| match operation {
            Operation::Invalidate(_) => {
                static FAILS: AtomicU32 = AtomicU32::new(0);
                let fails = FAILS.fetch_add(1, Relaxed).is_multiple_of(2);
                fails.then_some(ErrorKind::Timeout)
            }
            Operation::Store(_) => {
                static STORES: AtomicU32 = AtomicU32::new(0);
                // Those before are of the older entries.
                (STORES.fetch_add(1, Relaxed) == 2).then_some(ErrorKind::Timeout)
            }
            _ => None,
        });
        fixture.runtime.block_on(async {
            assert_eq!(kinds(fixture.insert(&["k"]).await), [Ok(true)]);
            let keys = vec![Ok(fixture.key("k").into())];
            let guard = fixture.cache.write_guard(keys, CallOptions::default()).await;
            let failed = match sends {
                false => guard.invalidate().await,
                true => guard.written([Some(&2_u32 as &Opaque)]).send().await.map(drop),
            };
            assert_eq!(failed.unwrap_err().kind(), ErrorKind::Timeout);
            fixture.runtime.sleep(Duration::from_secs(1)).await;
            let keys = [fixture.key("k")];
            assert!(fixture.backend.read(&keys).await.unwrap()[0].is_none(), "sends: {sends}");
        });
    }
}
