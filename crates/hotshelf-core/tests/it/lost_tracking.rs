//! Waiters of a backend that stops announcing changes.

use std::any::TypeId;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use hotshelf_core::backend::{Acquire, Acquired, Layer, Result, Take, Token, Watch, Watchers};
use hotshelf_core::cache::{CacheDefinition, CacheOptions, CallOptions, Loaded, ValueKind};
use hotshelf_core::codec::{Json, erase};
use hotshelf_core::{Backend, BoxFuture, ByteStore, Key, Namespace, Runtime, WireKey};
use hotshelf_memory::MemoryBackend;
use hotshelf_testkit::SimRuntime;

/// Announces changes to the first waiter alone, and counts the requests for leases.
#[derive(Debug)]
struct Forgetful {
    memory: MemoryBackend,
    watchers: Watchers,
    watched: AtomicU32,
    acquires: AtomicU32,
}

impl Layer for Forgetful {
    type Inner = MemoryBackend;

    fn inner(&self) -> Result<impl Deref<Target = MemoryBackend> + Send> {
        Ok(&self.memory)
    }

    fn on_watch(&self, key: &WireKey) -> Option<Watch> {
        (self.watched.fetch_add(1, Relaxed) == 0).then(|| self.watchers.watch(key))
    }

    fn on_acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        self.acquires.fetch_add(1, Relaxed);
        self.memory.acquire(acquire)
    }
}

#[test]
fn lost_tracking_is_replaced_by_polling() {
    let runtime = SimRuntime::new(1);
    let shared: Arc<dyn Runtime> = Arc::new(runtime.clone());
    let backend = Arc::new(Forgetful {
        memory: MemoryBackend::new(1 << 20, Arc::clone(&shared)),
        watchers: Watchers::default(),
        watched: AtomicU32::new(0),
        acquires: AtomicU32::new(0),
    });
    let store = ByteStore::new(Arc::clone(&backend) as Arc<dyn Backend>, shared);
    let options = CacheOptions { wait_timeout: Duration::from_secs(2), ..CacheOptions::default() };
    let definition = CacheDefinition {
        namespace: Namespace::new("n"),
        kind: ValueKind::of::<u32>(),
        options,
        codec: erase::<u32>(Json),
        tag_rule: None,
    };
    let cache = store.cache(definition).unwrap();
    runtime.block_on(async {
        let key = cache.wire_key(&Key::new("k"));
        let (token, lease) = (Token::random(&runtime), Duration::from_secs(60));
        backend.take(&[Take { key: key.clone(), token, lease }]).await.remove(0).unwrap();
        let loading = cache.load(Ok(key.into()), CallOptions::default(), TypeId::of::<()>());
        assert!(matches!(loading.await, Loaded::Lead(_)), "it stops waiting after two seconds");
    });
    // At pauses of up to half a second these would be five.
    let acquires = backend.acquires.load(Relaxed);
    assert!(acquires > 25, "{acquires} requests");
}
