//! The near tier on real servers.

mod changes;
mod reports;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hotshelf::{Cache, NearOptions, RedisOptions, Store};
use hotshelf_testkit::RedisServer;

use crate::support::{now, on_tokio, pause, server};

const BOUND: Duration = Duration::from_millis(400);

fn near_store(url: &str) -> Store {
    near_store_with(RedisOptions::from_url(url).unwrap())
}

fn near_store_with(options: RedisOptions) -> Store {
    let timeout = Duration::from_secs(5);
    let options = options.connect_timeout(timeout).read_timeout(timeout).store_timeout(timeout);
    let near = NearOptions::default().max_staleness(BOUND);
    Store::builder().redis(options).near(near).build().unwrap()
}

fn numbers(store: &Store) -> Cache<u64> {
    store.cache("numbers").build().unwrap()
}

/// Reads a key until the near tier answers.
async fn until_near(cache: &Cache<u64>, key: &str) {
    let began = now();
    loop {
        let before = cache.stats().near_hits;
        assert!(cache.get(key).await.is_some(), "{key} is not stored");
        if cache.stats().near_hits > before {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "the near tier never answered");
        pause(Duration::from_millis(2)).await;
    }
}

/// Reads a key until it is missing, and returns when the last read began that found it.
async fn until_missing(cache: &Cache<u64>, key: &str) -> Duration {
    let (start, mut last) = (now(), Duration::ZERO);
    loop {
        let began = start.elapsed();
        if cache.get(key).await.is_none() {
            return last;
        }
        last = began;
        assert!(began < Duration::from_secs(10), "{key} is never invalidated");
        pause(Duration::from_millis(1)).await;
    }
}

fn gets(server: &RedisServer) -> String {
    let stats = server.cli(&["INFO", "commandstats"]);
    let of = |line: &&str| line.starts_with("cmdstat_get:") || line.starts_with("cmdstat_mget:");
    let calls = |line: &str| line.split(',').next().unwrap_or_default().to_owned();
    stats.lines().filter(of).map(calls).collect()
}

fn tagged(store: &Store) -> Cache<u64> {
    store.cache("tagged").tags(|_| ["all"]).build().unwrap()
}

#[test]
fn near_hit_sends_nothing() {
    on_tokio(async {
        let server = server();
        let store = near_store(&server.url());
        let cache = numbers(&store);
        let tagged = store.cache::<u64>("tagged").tags(|_| ["a", "b"]).build().unwrap();
        let far = store.cache::<u64>("far").near(false).build().unwrap();
        for cache in [&cache, &tagged, &far] {
            assert!(cache.insert("k", 7).await);
        }
        until_near(&cache, "k").await;
        until_near(&tagged, "k").await;
        let before = gets(&server);
        let first = cache.get("k").await.unwrap();
        for _ in 0..100 {
            let again = cache.get_or_insert_with("k", async || 0).await;
            assert!(Arc::ptr_eq(&first, &again));
            assert_eq!(tagged.get("k").await.as_deref(), Some(&7));
        }
        assert_eq!(gets(&server), before);
        assert_eq!(far.get("k").await.as_deref(), Some(&7));
        assert_eq!((far.get("k").await.as_deref(), far.stats().near_hits), (Some(&7), 0));
        assert_ne!(gets(&server), before);
        let info = store.info().await.near.unwrap();
        assert!(info.entries >= 4 && info.used_bytes > 0, "{info:?}");
    });
}

/// The other process's token arrives before the server's report.
#[test]
fn token_of_another_process_is_respected_at_once() {
    on_tokio(async {
        let server = server();
        let (here, there) = (near_store(&server.url()), near_store(&server.url()));
        let (mine, my_tagged) = (numbers(&here), tagged(&here));
        for round in 0..20 {
            for cache in [&mine, &my_tagged] {
                assert!(cache.insert("k", round).await);
                until_near(cache, "k").await;
            }
            // This thread waits for the other one: no report is handled meanwhile.
            let other = there.clone();
            let token = std::thread::spawn(move || {
                on_tokio(async {
                    numbers(&other).invalidate("k").await.unwrap();
                    tagged(&other).invalidate_tag("all").await.unwrap();
                });
                other.consistency_token()
            });
            let token = token.join().unwrap();
            assert_eq!(mine.entry("k").after(token).get().await, None);
            assert_eq!(my_tagged.entry("k").after(Some(token)).get().await, None);
        }
        // What was read since then answers.
        mine.insert("k", 1).await;
        let token = there.consistency_token();
        assert_eq!(mine.entry("k").after(token).get().await.as_deref(), Some(&1));
        until_near(&mine, "k").await;
        let before = mine.stats().near_hits;
        assert_eq!(mine.entry("k").after(token).get().await.as_deref(), Some(&1));
        assert_eq!(*mine.entry("k").after(token).or_insert_with(async || 0).await, 1);
        assert_eq!(mine.stats().near_hits, before + 2);
        let new = there.consistency_token();
        assert_eq!(mine.entry("k").after(new).get().await.as_deref(), Some(&1));
        assert_eq!(mine.stats().near_hits, before + 2);
    });
}

/// By the same process: at once, on two runtimes with a connection each, under load.
#[test]
fn own_writes_are_read_at_once() {
    let server = server();
    let store = near_store(&server.url());
    let cache = numbers(&store);
    let (source, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let (cache, source, stop) = (&cache, &source, &stop);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            on_tokio(async {
                while !stop.load(Ordering::SeqCst) {
                    let reads = (0..8).map(|_| async {
                        let least = source.load(Ordering::SeqCst) / 2;
                        let load = async || source.load(Ordering::SeqCst).div_ceil(2);
                        let read = *cache.get_or_insert_with("k", load).await;
                        assert!(read >= least, "{read} after {least}");
                    });
                    join_all(reads).await;
                }
            });
        });
        on_tokio(async {
            let began = now();
            let mut version = 0;
            while began.elapsed() < Duration::from_secs(2) {
                // An odd number: committed, and not yet invalidated.
                version += 1;
                source.store(2 * version - 1, Ordering::SeqCst);
                cache.invalidate("k").await.unwrap();
                source.store(2 * version, Ordering::SeqCst);
                for _ in 0..20 {
                    let load = async || source.load(Ordering::SeqCst).div_ceil(2);
                    let read = *cache.get_or_insert_with("k", load).await;
                    assert!(read >= version, "{read} after {version}");
                }
            }
            stop.store(true, Ordering::SeqCst);
        });
    });
    assert!(cache.stats().near_hits > 100, "{:?}", cache.stats());
}

/// A value that was loaded anew replaces the near one for the caller's next read.
#[test]
fn reload_is_read_at_once() {
    on_tokio(async {
        let server = server();
        let store = near_store(&server.url());
        let cache = numbers(&store);
        cache.insert("k", 0).await;
        for version in 1..200 {
            until_near(&cache, "k").await;
            assert_eq!(*cache.entry("k").reload().or_insert_with(async || version).await, version);
            assert_eq!(cache.get("k").await.as_deref(), Some(&version));
        }
    });
}

/// An entry ends here when it ends at the server.
#[test]
fn near_entry_ends_with_its_lifetime() {
    on_tokio(async {
        let server = server();
        let store = near_store(&server.url());
        let short: Cache<u64> =
            store.cache("short").time_to_live(Duration::from_millis(300)).build().unwrap();
        // The server removes expired keys late.
        server.command(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
        short.insert("k", 1).await;
        let began = now();
        until_near(&short, "k").await;
        let mut hits = 0;
        while began.elapsed() < Duration::from_millis(900) {
            let before = short.stats().near_hits;
            let _ = short.get("k").await;
            if short.stats().near_hits > before {
                hits += 1;
                assert!(began.elapsed() < Duration::from_millis(450), "{:?}", began.elapsed());
            }
            pause(Duration::from_millis(1)).await;
        }
        assert!(hits > 10, "{hits}");
    });
}
