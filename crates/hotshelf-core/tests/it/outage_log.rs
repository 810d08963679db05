//! A failing backend is logged once per change of state, never once per call.

use std::any::TypeId;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use hotshelf_core::backend::Operation;
use hotshelf_core::cache::{CacheDefinition, CacheOptions, CallOptions, Loaded, Value, ValueKind};
use hotshelf_core::codec::{Json, Opaque, erase};
use hotshelf_core::sync::Mutex;
use hotshelf_core::{ByteCache, ByteStore, ErrorKind, Key, Namespace, Runtime};
use hotshelf_memory::MemoryBackend;
use hotshelf_testkit::{Fault, FaultyBackend, SimRuntime};

/// Collects the lines that are logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Returns the lines since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields(String);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                write!(self.0, "{value:?}").unwrap();
            }
        }
        let mut fields = Fields(format!("{}: ", event.metadata().level()));
        event.record(&mut fields);
        self.0.lock().push(fields.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

fn cache(runtime: &SimRuntime, fault: Fault) -> ByteCache {
    let shared: Arc<dyn Runtime> = Arc::new(runtime.clone());
    let memory = MemoryBackend::new(1 << 20, Arc::clone(&shared));
    let store = ByteStore::new(Arc::new(FaultyBackend::new(memory, fault)), shared);
    let definition = CacheDefinition {
        namespace: Namespace::new("users"),
        kind: ValueKind::of::<u32>(),
        options: CacheOptions::default(),
        codec: erase::<u32>(Json),
        tag_rule: None,
    };
    store.cache(definition).unwrap()
}

async fn load(cache: &ByteCache, number: u32) {
    let key = Ok(cache.key(&Key::new("k")));
    let errors = TypeId::of::<()>();
    if let Loaded::Lead(ticket) = cache.load(key, CallOptions::default(), errors).await {
        ticket.complete(Value::Present(Arc::new(number))).await;
    }
}

#[test]
fn outage_logs_two_lines() {
    static STORES_FAIL: AtomicBool = AtomicBool::new(false);
    let runtime = SimRuntime::new(1);
    let cache = cache(&runtime, |operation, _| {
        let fails = matches!(operation, Operation::Store(_)) && STORES_FAIL.load(Relaxed);
        fails.then_some(ErrorKind::OutOfMemory)
    });
    let log = Log::default();
    let _collecting = tracing::subscriber::set_default(log.clone());
    runtime.block_on(async {
        STORES_FAIL.store(true, Relaxed);
        for number in 0..10 {
            load(&cache, number).await;
        }
        let lines = log.take();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("WARN: storing in the cache \"users\" failed ("), "{lines:?}");
        assert!(lines[0].ends_with("; loaded values are not stored"), "{lines:?}");

        STORES_FAIL.store(false, Relaxed);
        load(&cache, 10).await;
        assert!(log.take().is_empty(), "it may fail again soon");
        runtime.advance(Duration::from_secs(5));
        cache.invalidate(vec![Ok(cache.key(&Key::new("k")))]).await.unwrap();
        load(&cache, 11).await;
        let lines = log.take();
        assert_eq!(lines, ["INFO: storing in the cache works again after 10 failures"]);
    });
}

#[test]
fn unsent_operation_is_not_a_recovery() {
    static STORES_FAIL: AtomicBool = AtomicBool::new(true);
    let runtime = SimRuntime::new(1);
    let cache = cache(&runtime, |operation, _| {
        let fails = match operation {
            Operation::Store(_) => STORES_FAIL.load(Relaxed),
            Operation::Take(_) => !STORES_FAIL.load(Relaxed),
            _ => false,
        };
        fails.then_some(ErrorKind::OutOfMemory)
    });
    let log = Log::default();
    let _collecting = tracing::subscriber::set_default(log.clone());
    runtime.block_on(async {
        load(&cache, 1).await;
        assert_eq!(log.take().len(), 1, "storing fails");

        STORES_FAIL.store(false, Relaxed);
        runtime.advance(Duration::from_secs(5));
        let value = (Ok(cache.key(&Key::new("k"))), &1_u32 as &Opaque);
        cache.insert([value], &CallOptions::default()).send().await.unwrap_err();
        let lines = log.take();
        assert!(lines.iter().all(|line| !line.contains("works again")), "{lines:?}");
    });
}

#[test]
fn failed_invalidation_is_logged_as_error() {
    let runtime = SimRuntime::new(1);
    let cache = cache(&runtime, |operation, _| {
        matches!(operation, Operation::Invalidate(_)).then_some(ErrorKind::Unavailable)
    });
    let log = Log::default();
    let _collecting = tracing::subscriber::set_default(log.clone());
    runtime.block_on(async {
        for _ in 0..3 {
            cache.invalidate(vec![Ok(cache.key(&Key::new("k")))]).await.unwrap_err();
        }
    });
    let lines = log.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("ERROR: invalidating in the cache \"users\" failed ("),
        "{lines:?}"
    );
}

#[test]
fn invalid_calls_are_logged_once() {
    let runtime = SimRuntime::new(1);
    let cache = cache(&runtime, |_, _| None);
    let log = Log::default();
    let _collecting = tracing::subscriber::set_default(log.clone());
    runtime.block_on(async {
        for _ in 0..3 {
            let options = CallOptions::default().time_to_live(Ok(Duration::ZERO));
            let value = (Ok(cache.key(&Key::new("k"))), &1_u32 as &Opaque);
            cache.insert([value], &options).send().await.unwrap_err();
        }
    });
    let lines = log.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("\"users\"") && lines[0].contains("bypass the cache"), "{lines:?}");
    assert_eq!(cache.stats().errors, 3);
}
