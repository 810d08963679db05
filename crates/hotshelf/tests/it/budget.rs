//! The backend budget of a call.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use hotshelf::{Cache, Jitter, Store};
use hotshelf_core::{Backend, Runtime};
use hotshelf_memory::MemoryBackend;
use hotshelf_testkit::{SimRuntime, Slow};

use crate::support::SECOND;

/// Returns the caches of two processes, on a backend with up to this delay in each direction.
fn slow(seed: u64, longest: Duration) -> (SimRuntime, [Cache<u32>; 2]) {
    let runtime = SimRuntime::new(seed);
    let shared: Arc<dyn Runtime> = Arc::new(runtime.clone());
    let memory = MemoryBackend::new(1 << 20, Arc::clone(&shared));
    let backend = Arc::new(Slow::new(memory, Arc::clone(&shared), longest));
    let process = |_| {
        let builder = Store::builder().backend(Arc::clone(&backend) as Arc<dyn Backend>);
        let store = builder.runtime(Arc::clone(&shared)).build().unwrap();
        store.cache("n").jitter(Jitter::NONE).build().unwrap()
    };
    (runtime, [0, 1].map(process))
}

/// In simulated time, however slow the backend is.
#[test]
fn call_stays_within_backend_budget() {
    let (budget, load) = (Duration::from_millis(250), SECOND);
    let mut cut = 0;
    for seed in 0..300 {
        let (runtime, [cache, _]) = slow(seed, SECOND * 3);
        let began = runtime.now();
        let value = runtime.block_on(cache.entry("k").reload().or_insert_with(async || {
            runtime.sleep(load).await;
            7
        }));
        assert_eq!(*value, 7);
        let waited = runtime.now() - began;
        assert!(waited <= load + budget, "seed {seed}: {waited:?}");
        cut += u32::from(waited == load + budget);
    }
    assert!(cut > 20, "the budget was spent in {cut} of 300");
}

/// A fill that was sent is not cancelled with the budget: the value is stored a little later.
#[test]
fn slow_fill_completes_in_background() {
    let mut late = 0;
    for seed in 0..300 {
        let (runtime, [cache, _]) = slow(seed, SECOND * 3);
        let load = cache.entry("k").reload().or_insert_with(async || 7);
        runtime.block_on(load);
        let degraded = cache.stats().degraded > 0;
        let at_once = runtime.block_on(cache.get("k")).is_some();
        runtime.block_on(runtime.sleep(SECOND * 20));
        let later = runtime.block_on(cache.get("k")).is_some();
        assert!(later || degraded, "seed {seed}");
        late += u32::from(later && !at_once);
    }
    assert!(late > 5, "{late} of 300 were stored late");
}

/// The budget that remains after the read and the request for the lease does not bound
/// polling.
#[test]
fn budget_does_not_bound_waiters() {
    let mut shared = 0;
    for seed in 0..300 {
        let (runtime, [first, second]) = slow(seed, SECOND / 2);
        let load = async || {
            runtime.sleep(SECOND).await;
            7
        };
        let late = async {
            runtime.sleep(SECOND / 2).await;
            second.get_or_insert_with("k", async || 8).await
        };
        let (_, given) = runtime.block_on(join(first.get_or_insert_with("k", load), late));
        shared += u32::from(*given == 7);
    }
    // In the others, the budget was spent before the wait. If it bounded polling, all but one
    // of these would fail.
    assert!(shared > 40, "{shared} of 300 got the value of the other process");
}
