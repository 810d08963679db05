//! What the backend holds, and how long it keeps its thread.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use hotshelf_core::backend::{Backend, Fill, Take, Token};
use hotshelf_core::{BoxFuture, Pattern, Ttl, WireKey};
use hotshelf_memory::MemoryBackend;
use hotshelf_testkit::SimRuntime;

fn backend(capacity: u64) -> MemoryBackend {
    MemoryBackend::new(capacity, Arc::new(SimRuntime::new(1)))
}

fn now<T>(future: BoxFuture<'_, T>) -> T {
    future.now_or_never().expect("it doesn't wait")
}

fn keys(prefix: &str, count: usize) -> Vec<WireKey> {
    (0..count).map(|number| format!("{prefix}{number}").into()).collect()
}

fn used(backend: &MemoryBackend) -> u64 {
    now(backend.info()).unwrap().used_memory
}

/// Stores an entry under each key.
fn fill(backend: &MemoryBackend, keys: &[WireKey]) {
    for key in keys {
        let token = Token::random(&SimRuntime::new(1));
        let take = Take { key: key.clone(), token, lease: Duration::from_secs(5) };
        now(backend.take(&[take]));
        let value = Bytes::from_static(b"1");
        now(backend.store(&[Fill {
            key: key.clone(),
            token,
            value,
            decoded_size: 0,
            ttl: Ttl::MAX,
            hold: None,
            kept: None,
        }]));
    }
}

/// Returns how often a future yields before it completes.
fn yields<T>(mut future: BoxFuture<'_, T>) -> (usize, T) {
    let mut context = Context::from_waker(Waker::noop());
    let mut count = 0;
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return (count, output),
            Poll::Pending => count += 1,
        }
    }
}

#[test]
fn tags_count_into_capacity() {
    let backend = backend(64 << 20);
    let tags = keys("hs:t:cache:", 150_000);
    let captured: Vec<_> =
        tags.chunks(1000).flat_map(|tags| now(backend.capture(tags, Ttl::MAX)).unwrap()).collect();
    assert!(used(&backend) > 150_000 * 150, "{}", used(&backend));
    let again = now(backend.capture(&tags, Ttl::MAX)).unwrap();
    assert_eq!(again, captured, "no version was lost, well below the capacity");
    let read = now(backend.read(&tags[..1])).unwrap();
    let (version, _) = hotshelf_core::tag::read(read[0].as_ref().unwrap()).unwrap();
    assert_eq!(version, captured[0]);

    now(backend.invalidate_tags(&tags)).unwrap();
    assert_eq!(used(&backend), 0);
    assert_eq!(now(backend.read(&tags[..1])).unwrap(), [None]);
}

#[test]
fn tags_stay_within_capacity() {
    let backend = backend(1 << 20);
    let tags = keys("hs:t:cache:", 20_000);
    now(backend.capture(&tags, Ttl::MAX)).unwrap();
    assert!(used(&backend) <= 1 << 20);
}

#[test]
fn long_invalidations_yield() {
    let backend = backend(64 << 20);
    let all = keys("a", 50_000);
    fill(&backend, &all[..25_000]);
    let (count, removed) = yields(backend.invalidate_matching(&Pattern::new("a*")));
    assert_eq!(removed.unwrap(), 25_000);
    assert!(count > 90, "{count}");

    fill(&backend, &all);
    let (count, removed) = yields(backend.invalidate(&all));
    assert_eq!(removed.unwrap(), 50_000);
    assert!(count > 190, "{count}");
    assert_eq!(yields(backend.invalidate(&all[..100])).0, 0);
}

#[test]
fn dropped_backend_is_freed() {
    let runtime = Arc::new(SimRuntime::new(1));
    let backend = Arc::new(MemoryBackend::new(1 << 20, runtime));
    fill(&backend, &keys("a", 10));
    let weak = Arc::downgrade(&backend);
    drop(backend);
    assert_eq!(weak.strong_count(), 0);
}

/// Entries keep their decoded values, too.
#[test]
fn decoded_values_count_into_capacity() {
    let weight = |decoded_size| {
        let backend = backend(1 << 20);
        let (key, token) = (WireKey::from("k"), Token::random(&SimRuntime::new(1)));
        let take = Take { key: key.clone(), token, lease: Duration::from_secs(5) };
        now(backend.take(&[take]));
        let value = Bytes::from_static(b"1");
        now(backend.store(&[Fill {
            key,
            token,
            value,
            decoded_size,
            ttl: Ttl::MAX,
            hold: None,
            kept: None,
        }]));
        used(&backend)
    };
    assert_eq!(weight(1_000), weight(0) + 1_000);
}
