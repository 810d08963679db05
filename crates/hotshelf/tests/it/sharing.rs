//! Which callers share a load, and how long they wait for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt, join, join4, select};
use hotshelf::{Cache, Jitter, Store};
use hotshelf_core::{Backend, Runtime};
use hotshelf_memory::MemoryBackend;
use hotshelf_testkit::SimRuntime;

use crate::support::{Loads, SECOND, simulated};

/// The caches of two processes on one backend, in simulated time.
fn two_processes(wait_timeout: Duration) -> (SimRuntime, [Cache<String>; 2]) {
    let runtime = SimRuntime::new(1);
    let shared: Arc<dyn Runtime> = Arc::new(runtime.clone());
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new(1 << 20, Arc::clone(&shared)));
    let process = |_| {
        let builder = Store::builder().backend(Arc::clone(&backend)).runtime(Arc::clone(&shared));
        let cache = builder.build().unwrap().cache("texts").jitter(Jitter::NONE);
        cache.wait_timeout(wait_timeout).build().unwrap()
    };
    (runtime, [0, 1].map(process))
}

#[test]
fn all_call_shapes_share_one_load() {
    let (runtime, _, texts) = simulated(1);
    let loads = Loads::default();
    let load = async || loads.load_slowly(&runtime, "v").await;
    let optional =
        || texts.entry("k").or_try_load_optional(async || Ok::<_, u8>(Some(load().await)));
    let (one, two, three, four) = runtime.block_on(join4(
        texts.get_or_insert_with("k", load),
        texts.get_or_try_insert_with("k", async || Ok::<_, String>(load().await)),
        texts.get_or_try_insert_with("k", async || Ok::<_, u32>(load().await)),
        optional(),
    ));
    let values = [one, two.unwrap(), three.unwrap(), four.unwrap().unwrap()];
    assert!(values.iter().all(|value| **value == "v"));
    assert_eq!((loads.count(), texts.stats().coalesced), (1, 3));
}

/// The first loader begins before the others join, so that its outcome is its own. The second
/// one's is for callers that can take it; the other goes on, and loads a third time.
#[test]
fn only_accepted_outcomes_are_shared() {
    let (runtime, _, texts) = simulated(1);
    let loads = Loads::default();
    let load = async || loads.load_slowly(&runtime, "v").await;
    let optional = || {
        texts.entry("absent").or_try_load_optional(async || {
            load().await;
            Ok::<_, u8>(None)
        })
    };
    let (one, two, value, three) = runtime.block_on(join4(
        optional(),
        optional(),
        texts.get_or_insert_with("absent", load),
        optional(),
    ));
    assert_eq!([one, two, three].map(Result::unwrap), [None, None, None]);
    assert_eq!((value.as_str(), loads.count()), ("v", 3));

    let failing = || {
        texts.get_or_try_insert_with("failing", async || {
            load().await;
            Err::<String, _>("down")
        })
    };
    let (one, two, value, three) = runtime.block_on(join4(
        failing(),
        failing(),
        texts.get_or_try_insert_with("failing", async || Ok::<_, u32>(load().await)),
        failing(),
    ));
    assert_eq!(
        [one, two, three].map(|result| result.unwrap_err().loader().copied()),
        [Some("down"); 3]
    );
    assert_eq!((value.unwrap().as_str(), loads.count()), ("v", 6));
}

/// The lease of a load lasts 5 s, and is renewed while the loader runs.
#[test]
fn long_load_elsewhere_is_waited_for() {
    let (runtime, [one, other]) = two_processes(SECOND * 2);
    let loads = Loads::default();
    let long = async || {
        runtime.sleep(SECOND * 20).await;
        loads.load("v").await
    };
    let waiting = async {
        runtime.sleep(SECOND).await;
        other.get_or_insert_with("k", async || loads.load("own").await).await
    };
    let (value, waited) = runtime.block_on(join(one.get_or_insert_with("k", long), waiting));
    assert_eq!((value.as_str(), waited.as_str()), ("v", "v"));
    assert_eq!(loads.count(), 1);
    let now = runtime.now().since(Default::default());
    assert_eq!(now, SECOND * 20, "the waiter was notified");
}

/// A holder that crashed renews no lease.
#[test]
fn silent_holder_is_given_up() {
    let (runtime, [one, other]) = two_processes(SECOND * 2);
    runtime.block_on(async {
        let ticket = one.ticket("k").await.unwrap();
        let value = other.get_or_insert_with("k", async || "own".to_owned()).await;
        assert_eq!(value.as_str(), "own");
        assert_eq!(runtime.now().since(Default::default()), SECOND * 2);
        drop(ticket);
    });
}

/// Of two callers, the first waits for another process and is cancelled. The second goes on
/// waiting, for as long as its own call may.
#[test]
fn wait_timeout_is_one_budget() {
    let (runtime, [one, other]) = two_processes(SECOND * 2);
    runtime.block_on(async {
        let ticket = one.ticket("k").await.unwrap();
        let call = || other.get_or_insert_with("k", async || "own".to_owned());
        let cancelled = select(call().boxed_local(), runtime.sleep(SECOND * 3 / 2)).map(drop);
        let (_, value) = join(cancelled, call()).await;
        assert_eq!(value.as_str(), "own");
        assert_eq!(runtime.now().since(Default::default()), SECOND * 2);
        drop(ticket);
    });
}

#[test]
fn reload_without_waiting_stores() {
    let (runtime, [cache, _]) = two_processes(Duration::ZERO);
    runtime.block_on(async {
        assert!(cache.insert("k", "old".to_owned()).await);
        let reloaded = cache.entry("k").reload().or_insert_with(async || "new".to_owned()).await;
        assert_eq!(reloaded.as_str(), "new");
        assert_eq!(cache.get("k").await.as_deref().map(String::as_str), Some("new"));
    });
}

#[test]
fn longest_durations_are_valid() {
    let (runtime, store, _) = simulated(1);
    let longest = store.cache::<u32>("longest").time_to_live(Duration::MAX);
    let longest =
        longest.wait_timeout(Duration::MAX).backend_budget(Duration::MAX).build().unwrap();
    runtime.block_on(async {
        for _ in 0..2 {
            let entry = longest.entry("k").time_to_live(Duration::MAX);
            entry.or_insert_with(async || 7).await;
        }
    });
    assert_eq!(longest.stats().loads, 1);
    for lease in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let error = Store::builder().lease(lease).build().unwrap_err();
        assert!(error.to_string().contains("use 10 ms to 1 hour"), "{error}");
    }
}

/// In one process they join each other's flights, in two they wait for each other's leases,
/// which are renewed.
#[test]
fn loaders_that_need_each_others_keys_end() {
    for processes in [[0, 0], [0, 1]] {
        let (runtime, caches) = two_processes(SECOND * 2);
        let [one, other] = processes.map(|process: usize| &caches[process]);
        let load = async |cache: &Cache<String>, own: &'static str, needed: &'static str| {
            let loader = async || {
                runtime.sleep(SECOND).await;
                let alone = async || needed.to_owned();
                format!("{own} with {}", cache.get_or_insert_with(needed, alone).await)
            };
            cache.get_or_insert_with(own, loader).await
        };
        let (a, b) = runtime.block_on(join(load(one, "a", "b"), load(other, "b", "a")));
        assert!(a.starts_with("a with b") && b.starts_with("b with a"), "{a}, {b}");
        assert!(runtime.now().since(Default::default()) < SECOND * 10);
    }
}

/// Servers hold a call for every request that waits.
#[test]
fn waiting_call_takes_little_memory() {
    let (_runtime, _, texts) = simulated(1);
    let call = texts.get_or_insert_with("key", async || String::new());
    let size = std::mem::size_of_val(&call);
    assert!(size <= 640, "{size} bytes");
}
