//! Stores and loaders for tests.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hotshelf::{Cache, Jitter, Store};
use hotshelf_testkit::{RedisServer, SimRuntime};

/// Runs a test on a store in memory, and again on a real Redis.
pub(crate) fn on_each_backend(test: impl AsyncFn(Store)) {
    on_tokio(async {
        test(Store::memory()).await;
        let server = server();
        test(Store::connect(&server.url()).await.unwrap()).await;
    });
}

pub(crate) fn on_tokio<F: Future>(test: F) -> F::Output {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio.unwrap().block_on(test)
}

pub(crate) fn server() -> RedisServer {
    RedisServer::start().expect("redis-server is installed")
}

#[expect(clippy::disallowed_methods, reason = "real servers run in real time")]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[expect(clippy::disallowed_methods, reason = "real servers run in real time")]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Creates a cache of texts in simulated time, without jitter.
pub(crate) fn simulated(seed: u64) -> (SimRuntime, Store, Cache<String>) {
    let runtime = SimRuntime::new(seed);
    let store = Store::builder().runtime(Arc::new(runtime.clone())).build().unwrap();
    let cache = store.cache("texts").jitter(Jitter::NONE).build().unwrap();
    (runtime, store, cache)
}

/// Counts the loaders that ran.
#[derive(Clone, Default)]
pub(crate) struct Loads(Arc<AtomicU32>);

impl Loads {
    pub(crate) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns a loader's value at once.
    pub(crate) async fn load(&self, value: &str) -> String {
        self.0.fetch_add(1, Ordering::Relaxed);
        value.to_owned()
    }

    /// Returns a loader's value after a second of simulated time.
    pub(crate) async fn load_slowly(&self, runtime: &SimRuntime, value: &str) -> String {
        use hotshelf_core::Runtime;

        self.0.fetch_add(1, Ordering::Relaxed);
        runtime.sleep(SECOND).await;
        value.to_owned()
    }
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);
