//! Entries of future releases beside those of this one.

use std::sync::Arc;
use std::time::Duration;

use hotshelf::{Backend, Cache, Foreign, Store, Ttl, WireKey};
use hotshelf_core::backend::{Fill, Take, Token};
use hotshelf_core::trailer::Trailer;
use hotshelf_memory::MemoryBackend;
use hotshelf_testkit::{SimRuntime, entry_with_trailer};

use crate::support::{Loads, on_tokio, server};

const FORMAT: u8 = 1;

/// A function that stores any text under a key.
type Put<'a> = &'a dyn Fn(&str, &str);

fn on_each_backend(test: impl AsyncFn(&Store, Put<'_>)) {
    let runtime = SimRuntime::new(1);
    let clock = Arc::new(runtime.clone());
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new(1 << 20, clock.clone()));
    let builder = Store::builder().backend(Arc::clone(&backend));
    let store = builder.runtime(clock).build().unwrap();
    let put = |key: &str, entry: &str| {
        let (key, token) = (WireKey::from(key), Token::random(&runtime));
        let take = Take { key: key.clone(), token, lease: Duration::from_secs(1) };
        let value = entry.to_owned().into();
        let fill = Fill {
            key,
            token,
            value,
            decoded_size: 0,
            ttl: Ttl::new(Duration::from_secs(60)).unwrap(),
            hold: None,
            kept: None,
        };
        on_tokio(async {
            backend.take(&[take]).await.remove(0).unwrap();
            backend.store(&[fill]).await.remove(0).unwrap();
        });
    };
    runtime.block_on(test(&store, &put));

    let server = server();
    on_tokio(async {
        let store = Store::connect(&server.url()).await.unwrap();
        test(&store, &|key, entry| drop(server.command(&["SET", key, entry]))).await;
    });
}

/// Builds a cache for each treatment of untracked entries.
fn caches(store: &Store) -> [Cache<u32>; 3] {
    [
        store.cache("reject").build().unwrap(),
        store.cache("accept").foreign(Foreign::Accept).build().unwrap(),
        store.cache("plain").strict_plain(true).build().unwrap(),
    ]
}

fn key_of(cache: &Cache<u32>) -> String {
    cache.wire_key("k").as_str().to_owned()
}

/// One load replaces the entry; from then on older and newer releases share it.
#[test]
fn unreadable_entries_are_replaced_once() {
    on_each_backend(async |store, put| {
        let damaged = entry_with_trailer("5", 0, FORMAT).replacen(' ', "\t", 1);
        let entries = [
            entry_with_trailer("5", 0, FORMAT + 1),
            entry_with_trailer("5", 0, 255),
            entry_with_trailer("5", 0b0010, FORMAT),
            damaged,
        ];
        for cache in caches(store) {
            for entry in &entries {
                put(&key_of(&cache), entry);
                assert_eq!(cache.get("k").await, None, "{cache:?}: {entry:?}");
                let loads = Loads::default();
                for _ in 0..2 {
                    let load = async || loads.load("6").await.parse().unwrap();
                    assert_eq!(*cache.get_or_insert_with("k", load).await, 6, "{cache:?}");
                }
                assert_eq!(loads.count(), 1, "{cache:?}: {entry:?}");
                assert_eq!(cache.get("k").await.as_deref(), Some(&6));
            }
        }
    });
}

#[test]
fn unknown_plain_flags_are_ignored() {
    on_each_backend(async |store, put| {
        for cache in caches(store) {
            for flags in [0b0001_0000, 0b1010_0000, 0b1111_0000] {
                put(&key_of(&cache), &entry_with_trailer("5", flags, FORMAT));
                assert_eq!(cache.get("k").await.as_deref(), Some(&5), "{cache:?}: {flags:08b}");
            }
        }
    });
}

/// A negative does not replace an entry that this release cannot read.
#[test]
fn negatives_keep_newer_entries() {
    on_each_backend(async |store, put| {
        let builder = store.cache::<u32>("negatives").negative_ttl(Duration::from_secs(30));
        let cache = builder.build().unwrap();
        put(&key_of(&cache), &entry_with_trailer("5", 0, FORMAT + 1));
        for _ in 0..2 {
            let loads = Loads::default();
            let load = async || {
                loads.load("").await;
                Ok::<_, std::convert::Infallible>(None)
            };
            assert!(cache.entry("k").or_try_load_optional(load).await.unwrap().is_none());
            assert_eq!(loads.count(), 1);
        }
    });
}

/// Inserts and writes carry the server's time, as loads do.
#[test]
fn written_entries_carry_their_time() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let cache = store.cache::<u32>("n").build().unwrap();
        cache.insert("inserted", 1).await;
        let written = cache.write_through("written", async || Ok::<_, std::convert::Infallible>(2));
        written.await.unwrap().cached().unwrap();
        cache.get_or_insert_with("loaded", async || 3).await;
        let time = server.cli(&["TIME"]);
        let seconds: u64 = time.lines().next().unwrap().trim().parse().unwrap();
        for key in ["inserted", "written", "loaded"] {
            let raw = store.redis().unwrap().get(cache.wire_key(key).as_str()).await.unwrap();
            let (_, trailer) = Trailer::find(&raw.unwrap()).unwrap();
            let age = (seconds + 1).abs_diff(trailer.loaded_at / 1000);
            assert!(age < 60, "{key}: {} at {seconds}", trailer.loaded_at);
            assert!((270_000..=330_000).contains(&trailer.fresh_for), "{key}");
        }
    });
}
