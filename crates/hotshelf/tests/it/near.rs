//! The near tier on real servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hotshelf::{Cache, NearOptions, RedisOptions, Store, Tracking};
use hotshelf_testkit::{Conditions, Failover, Proxy, RedisCluster, RedisSentinels, RedisServer};

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

fn tagged(store: &Store) -> Cache<u64> {
    store.cache("tagged").tags(|_| ["all"]).build().unwrap()
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

#[test]
fn broadcast_reports_are_heard() {
    on_tokio(async {
        let server = server();
        let broadcast = || {
            let options = RedisOptions::from_url(&server.url()).unwrap();
            near_store_with(options.tracking(Tracking::Broadcast(vec!["cache:".to_owned()])))
        };
        let (here, there) = (broadcast(), broadcast());
        others_are_heard_by(here.clone(), there).await;
        // The server remembers no key that was read.
        let stats = server.cli(&["INFO", "stats"]);
        assert!(stats.contains("tracking_total_keys:0"), "{stats}");
        // Changes of other keys aren't reported.
        let other = here.cache::<u64>("numbers").prefix("other").build().unwrap();
        other.insert("k", 1).await;
        for _ in 0..100 {
            assert_eq!(other.get("k").await.as_deref(), Some(&1));
        }
        assert_eq!(other.stats().near_hits, 0);
    });
}

#[test]
fn without_reports_entries_are_kept_for_the_bound() {
    on_tokio(async {
        let server = server();
        let url = format!("{}?protocol=2", server.url());
        let near = NearOptions::default().max_staleness(BOUND);
        let store = |near| Store::builder().url(&url).near(near).build().unwrap();
        let (here, there) = (store(near.without_reports(true)), store(near));
        let (mine, theirs) = (numbers(&here), numbers(&there));
        for round in 0..5 {
            mine.insert("k", round).await;
            until_near(&mine, "k").await;
            assert_eq!(theirs.get("k").await.as_deref(), Some(&round));
            theirs.invalidate("k").await.unwrap();
            assert!(until_missing(&mine, "k").await <= BOUND);
            // Its own changes at once.
            mine.insert("k", 1).await;
            until_near(&mine, "k").await;
            mine.invalidate("k").await.unwrap();
            assert_eq!(mine.get("k").await, None);
        }
        assert_eq!(theirs.stats().near_hits, 0);
        let limitation = async |store: &Store| {
            let all = store.info().await.server.unwrap().limitations;
            all.into_iter().find(|text| text.contains("near tier")).unwrap()
        };
        assert!(limitation(&here).await.contains("keeps entries for `max_staleness`"));
        assert!(limitation(&there).await.contains("the near tier is off"));
    });
}

/// By another process: within the bound.
async fn others_are_heard(url: &str) {
    others_are_heard_by(near_store(url), near_store(url)).await;
}

async fn others_are_heard_by(here: Store, there: Store) {
    let (mine, theirs) = (numbers(&here), numbers(&there));
    let (my_tagged, their_tagged) = (tagged(&here), tagged(&there));
    for round in 0..10 {
        let key = format!("k{round}");
        mine.insert(&key, 1).await;
        my_tagged.insert(&key, 1).await;
        until_near(&mine, &key).await;
        until_near(&my_tagged, &key).await;
        match round % 3 {
            0 => drop(theirs.invalidate(&key).await.unwrap()),
            1 => drop(theirs.invalidate_pattern(&format!("{key}*")).await.unwrap()),
            _ => assert!(theirs.insert(&key, 2).await),
        }
        let began = now();
        while mine.get(&key).await.as_deref() == Some(&1) {
            assert!(began.elapsed() < BOUND, "stale beyond the bound");
            pause(Duration::from_millis(1)).await;
        }
        their_tagged.invalidate_tag("all").await.unwrap();
        assert!(until_missing(&my_tagged, &key).await < BOUND);
    }
}

#[test]
fn others_are_heard_on_one_server() {
    on_tokio(async {
        let server = server();
        others_are_heard(&server.url()).await;
    });
}

#[test]
fn others_are_heard_behind_sentinels() {
    on_tokio(async {
        let sentinels = RedisSentinels::start().unwrap();
        others_are_heard(&sentinels.url()).await;
    });
}

#[test]
fn others_are_heard_in_a_cluster() {
    on_tokio(async {
        let cluster = RedisCluster::start().unwrap();
        others_are_heard(&cluster.url()).await;
    });
}

/// A replaced node answers pings, but hears of changes only by its replication, if at all.
#[test]
fn replaced_node_of_a_cluster_does_not_vouch() {
    on_tokio(async {
        let cluster = RedisCluster::start().unwrap();
        let (store, others) = (near_store(&cluster.url()), near_store(&cluster.url()));
        let (cache, others) = (numbers(&store), numbers(&others));
        let keys: Vec<String> = (0..12).map(|number| format!("k{number}")).collect();
        for key in &keys {
            cache.insert(key, 1).await;
            until_near(&cache, key).await;
        }
        let primary = cluster.primaries()[0];
        let replica = cluster.replicas_of(primary)[0];
        cluster.failover(replica, Failover::Orderly);
        // The new primary lets nobody follow it.
        cluster.node(replica).command(&["ACL", "SETUSER", "default", "-psync", "-sync"]);
        cluster.node(replica).command(&["CLIENT", "KILL", "TYPE", "REPLICA"]);
        for key in &keys {
            while others.invalidate(key).await.is_err() {}
        }
        let began = now();
        for key in &keys {
            // Nothing but near hits: no redirection tells of the failover.
            while cache.get(key).await.is_some() {
                assert!(began.elapsed() < BOUND, "{key} is stale beyond the bound");
                pause(Duration::from_millis(1)).await;
            }
        }
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

/// What was invalidated while the connection was gone is not served after it is back.
#[test]
fn lost_connection_ends_its_entries() {
    on_tokio(async {
        let server = server();
        let store = near_store(&server.url());
        let cache = numbers(&store);
        let others = Store::connect(&server.url()).await.unwrap();
        for round in 0..20 {
            let key = format!("k{round}");
            cache.insert(&key, 1).await;
            until_near(&cache, &key).await;
            // The server removes the entry after it has forgotten the connection.
            server.command(&["CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES"]);
            while numbers(&others).invalidate(&key).await.is_err() {}
            // Only the next connection answers.
            while store.ping().await.is_err() {}
            assert_eq!(cache.get(&key).await, None);
        }
    });
}

/// A network that swallows everything: no reset, no push, no answer.
#[test]
fn silent_network_ends_near_hits_within_the_bound() {
    on_tokio(async {
        let server = server();
        let proxy = Proxy::start(server.port()).unwrap();
        let store = near_store(&proxy.url());
        let cache = numbers(&store);
        cache.insert("k", 1).await;
        until_near(&cache, "k").await;
        proxy.set_both(Conditions::default().swallow());
        let others = Store::connect(&server.url()).await.unwrap();
        numbers(&others).invalidate("k").await.unwrap();
        let began = now();
        let mut last_hit = Duration::ZERO;
        while began.elapsed() < 3 * BOUND {
            let before = cache.stats().near_hits;
            let reading = tokio::time::timeout(Duration::from_millis(5), cache.get("k")).await;
            if cache.stats().near_hits > before {
                assert_eq!(reading.unwrap().as_deref(), Some(&1));
                last_hit = began.elapsed();
                pause(Duration::from_millis(1)).await;
            }
        }
        assert!(last_hit < BOUND, "{last_hit:?}");
        proxy.clear();
        proxy.cut();
        assert!(until_missing(&cache, "k").await < Duration::from_secs(8));
    });
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

#[test]
fn flush_and_full_tracking_table_are_heard() {
    on_tokio(async {
        let server = server();
        let store = near_store(&server.url());
        let cache = numbers(&store);
        cache.insert("k", 1).await;
        until_near(&cache, "k").await;
        server.command(&["FLUSHALL"]);
        assert!(until_missing(&cache, "k").await < BOUND);

        server.command(&["CONFIG", "SET", "tracking-table-max-keys", "10"]);
        let others = Store::connect(&server.url()).await.unwrap();
        let keys: Vec<String> = (0..200).map(|number| format!("k{number}")).collect();
        for key in &keys {
            cache.insert(key, 1).await;
            until_near(&cache, key).await;
        }
        let began = now();
        numbers(&others).invalidate_many(&keys).await.unwrap();
        for key in &keys {
            until_missing(&cache, key).await;
        }
        assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    });
}

#[test]
fn without_reports_there_are_no_near_hits() {
    on_tokio(async {
        let server = server();
        let store = near_store(&format!("{}?protocol=2", server.url()));
        let cache = numbers(&store);
        cache.insert("k", 1).await;
        for _ in 0..20 {
            assert_eq!(cache.get("k").await.as_deref(), Some(&1));
        }
        assert_eq!(cache.stats().near_hits, 0);
        let limitations = store.info().await.server.unwrap().limitations;
        assert!(limitations.iter().any(|text| text.contains("near tier")), "{limitations:?}");

        let invalid = NearOptions::default().max_staleness(Duration::ZERO);
        let error = Store::builder().url(server.url()).near(invalid).build().unwrap_err();
        assert!(error.to_string().contains("max_staleness"), "{error}");
    });
}

/// An ACL may deny the command that makes a read tracked, from the beginning or later.
#[test]
fn refused_caching_is_noticed() {
    on_tokio(async {
        let server = server();
        server.command(&["ACL", "SETUSER", "late", "on", ">pw", "~*", "&*", "+@all"]);
        let never = ["ACL", "SETUSER", "never", "on", ">pw", "~*", "&*", "+@all"];
        server.command(&[&never[..], &["-client|caching"]].concat());
        let of = |user: &str| near_store(&server.url().replace("//", &format!("//{user}:pw@")));
        let (never, late) = (of("never"), of("late"));
        let (of_never, of_late) = (numbers(&never), numbers(&late));
        of_never.insert("k", 1).await;
        until_near(&of_late, "k").await;
        server.command(&["ACL", "SETUSER", "late", "-client|caching"]);
        of_late.insert("k", 2).await;
        pause(Duration::from_millis(50)).await;
        for cache in [&of_never, &of_late] {
            let before = cache.stats().near_hits;
            for _ in 0..50 {
                assert_eq!(cache.get("k").await.as_deref(), Some(&2));
            }
            assert_eq!(cache.stats().near_hits, before);
        }
        let limitations = never.info().await.server.unwrap().limitations;
        assert!(limitations.iter().any(|text| text.contains("near tier")), "{limitations:?}");
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
