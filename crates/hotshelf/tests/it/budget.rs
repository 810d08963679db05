//! What a call waits for the backend in all.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use hotshelf::{Cache, Jitter, Store};
use hotshelf_core::{Backend, Runtime};
use hotshelf_memory::MemoryBackend;
use hotshelf_testkit::{SimRuntime, Slow};

use crate::support::SECOND;

/// A cache whose backend takes up to this long in each direction, in two processes.
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

/// In time of the runtime, however slow the backend is.
#[test]
fn a_call_waits_for_the_backend_no_longer_than_it_may() {
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
    assert!(cut > 20, "in {cut} of 300 the time ran out");
}

/// What was sent when the time ran out is not taken back: the value is there a little later.
#[test]
fn a_fill_that_takes_too_long_goes_on() {
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

/// What reading and asking for the lease have left of the time is no bound for each look.
#[test]
fn who_waits_for_another_process_looks_without_haste() {
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
    // The others had no time left before they waited. Of those that had, all but one fail
    // where it bounds their looks.
    assert!(shared > 40, "{shared} of 300 were given what the other process has loaded");
}
