//! Callers that keep calling while faults are injected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hotshelf_core::ErrorKind;
use hotshelf_redis::RedisBackend;

use crate::support;

const CALLERS: usize = 16;
const KEYS: usize = 40;

/// The time that a call may take beyond its deadline, on a busy machine.
const GRACE: Duration = Duration::from_millis(250);

/// The outcome of all calls.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answered: usize,
    pub(crate) failed: usize,
    slowest: Duration,
}

/// Runs callers that write and read while a fault is injected and until all keys are served
/// again.
///
/// Every call must end in time, with its own reply (each value contains its key) or with a
/// temporary error.
///
/// The fault's result, usually the servers, is kept until the end.
pub(crate) async fn under_load<T: Send + 'static>(
    backend: RedisBackend,
    deadline: Duration,
    fault: impl FnOnce() -> T + Send + 'static,
) -> Outcome {
    let backend = Arc::new(backend);
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (backend, stop) = (Arc::clone(&backend), Arc::clone(&stop));
            tokio::spawn(async move { call(&backend, caller, &stop).await })
        })
        .collect();
    let _kept = tokio::task::spawn_blocking(fault).await.unwrap();
    recover(&backend).await;
    stop.store(true, Ordering::Relaxed);
    let mut sum = Outcome::default();
    for caller in callers {
        let outcome = caller.await.unwrap();
        sum.answered += outcome.answered;
        sum.failed += outcome.failed;
        sum.slowest = sum.slowest.max(outcome.slowest);
    }
    assert!(sum.slowest < deadline + GRACE, "{sum:?}");
    sum
}

async fn recover(backend: &RedisBackend) {
    for key in 0..KEYS {
        let key = format!("k{key}");
        let set = async || backend.client().set(&key, format!("{key}:end")).await.ok();
        support::until("the servers to serve again", set).await;
    }
}

async fn call(backend: &RedisBackend, caller: usize, stop: &AtomicBool) -> Outcome {
    let mut outcome = Outcome::default();
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("k{}", (caller * 7 + turn) % KEYS);
        let start = support::now();
        let answer = match turn % 4 {
            0 => backend.client().set(&key, format!("{key}:{turn}")).await.map(|()| None),
            1 => backend.client().mget(&[&key, "none"]).await.map(|mut both| both.swap_remove(0)),
            2 => backend.client().transaction(&[["GET", &key]]).await.and_then(|mut replies| {
                replies.pop().map_or(Ok(None), hotshelf_redis::Reply::bytes)
            }),
            _ => backend.client().get(&key).await,
        };
        outcome.slowest = outcome.slowest.max(start.elapsed());
        match answer {
            Ok(value) => {
                outcome.answered += 1;
                let own = format!("{key}:");
                let is_own = |value: &bytes::Bytes| value.starts_with(own.as_bytes());
                assert!(value.as_ref().is_none_or(is_own), "{key} received {value:?}");
            }
            Err(error) => {
                outcome.failed += 1;
                let loaded = error.kind() == ErrorKind::Server;
                assert!(error.is_temporary() && !loaded, "{key}: {error:?}");
                // Don't spin while a server is down.
                support::pause(Duration::from_millis(1)).await;
            }
        }
    }
    outcome
}
