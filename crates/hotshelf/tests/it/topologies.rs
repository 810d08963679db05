//! The promises of the protocol between two processes, on each topology.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use futures_util::future::{join, join_all};
use hotshelf::{RedisOptions, Store};
use hotshelf_testkit::{RedisCluster, RedisSentinels};

use crate::support::{on_tokio, pause, server};

/// Two stores on one installation, as in two processes.
struct Processes {
    here: Store,
    there: Store,
}

impl Processes {
    async fn on(url: &str) -> Self {
        let store = || {
            let timeout = Duration::from_secs(20);
            let options = RedisOptions::from_url(url).unwrap();
            let options = options.connect_timeout(timeout).read_timeout(timeout);
            Store::builder().redis(options.store_timeout(timeout)).build().unwrap()
        };
        let (here, there) = (store(), store());
        here.ping().await.unwrap();
        there.ping().await.unwrap();
        Self { here, there }
    }
}

/// Checks all promises, each on its own caches.
async fn check_promises_on(url: &str) {
    let processes = Processes::on(url).await;
    cold_key_is_loaded_once(&processes).await;
    waiters_elsewhere_are_woken(&processes).await;
    invalidations_refuse_loads_elsewhere(&processes).await;
    tags_refuse_loads_elsewhere(&processes).await;
    epoch_is_invalidated_everywhere(&processes).await;
    patterns_reach_all_servers(&processes).await;
    writes_are_not_undone(&processes).await;
    many_keys_are_batched(&processes).await;
    cancelled_leader_leaves_no_lease(&processes).await;
}

#[test]
fn standalone_server_keeps_all_promises() {
    on_tokio(async {
        let server = server();
        check_promises_on(&server.url()).await;
    });
}

#[test]
fn sentinels_keep_all_promises() {
    on_tokio(async {
        let sentinels = RedisSentinels::start().unwrap();
        check_promises_on(&sentinels.url()).await;
    });
}

#[test]
fn cluster_keeps_all_promises() {
    on_tokio(async {
        let cluster = RedisCluster::start().unwrap();
        check_promises_on(&cluster.url()).await;
    });
}

async fn cold_key_is_loaded_once(processes: &Processes) {
    let caches = [&processes.here, &processes.there].map(|store| {
        store.cache::<String>("cold").wait_timeout(Duration::from_secs(30)).build().unwrap()
    });
    let loads = Cell::new(0);
    for key in 0..20_u32 {
        let load = async || {
            loads.set(loads.get() + 1);
            pause(Duration::from_millis(5)).await;
            key.to_string()
        };
        let calls = (0..10).map(|call| caches[call % 2].get_or_insert_with(key, load));
        let values = join_all(calls).await;
        assert!(values.iter().all(|value| **value == key.to_string()));
    }
    assert_eq!(loads.get(), 20);
}

/// Polling would find the value up to 50 ms late, and in the worst case 500 ms.
async fn waiters_elsewhere_are_woken(processes: &Processes) {
    let here = processes.here.cache::<u32>("woken").build().unwrap();
    let there = processes.there.cache::<u32>("woken").build().unwrap();
    let mut latest = Vec::new();
    for key in 0..10_u32 {
        let stored = Cell::new(None);
        let leads = async {
            here.get_or_insert_with(key, async || {
                pause(Duration::from_millis(60)).await;
                key
            })
            .await;
            stored.set(Some(crate::support::now()));
        };
        let waits = async {
            pause(Duration::from_millis(20)).await;
            let value = there.get_or_insert_with(key, async || panic!("it is loaded there")).await;
            assert_eq!(*value, key);
            stored.get().map(|stored| stored.elapsed()).unwrap_or_default()
        };
        latest.push(join(leads, waits).await.1);
    }
    latest.sort_unstable();
    assert!(latest[5] < Duration::from_millis(10), "{latest:?}");
}

async fn invalidations_refuse_loads_elsewhere(processes: &Processes) {
    let here = processes.here.cache::<u32>("fenced").build().unwrap();
    let there = processes.there.cache::<u32>("fenced").build().unwrap();
    // Keys of all nodes, with each kind of lease name.
    for key in ["a", "b", "c", "d", "{e}", "f{g", "h}i", "{}j"] {
        let loaded = here.get_or_insert_with(key, async || {
            there.invalidate(key).await.unwrap();
            1
        });
        assert_eq!(*loaded.await, 1);
        assert_eq!(there.fallible().get(key).await.unwrap(), None, "{key}");
        assert_eq!(*there.get_or_insert_with(key, async || 2).await, 2);
        assert_eq!(here.fallible().get(key).await.unwrap().as_deref(), Some(&2), "{key}");
    }
    let many = ["a", "b", "c", "d"];
    there.invalidate_many(many).await.unwrap();
    assert!(here.get_many(many).await.iter().all(Option::is_none));
}

async fn tags_refuse_loads_elsewhere(processes: &Processes) {
    let here = processes.here.cache::<u32>("tagged").build().unwrap();
    let there = processes.there.cache::<u32>("tagged").build().unwrap();
    for key in 0..12_u32 {
        let tags = [format!("t{}", key % 3), "all".to_owned()];
        let entry = || here.entry(key).tags(&tags);
        let loaded = entry().or_insert_with(async || {
            processes.there.invalidate_tag(&tags[0]).await.unwrap();
            1
        });
        assert_eq!(*loaded.await, 1);
        assert_eq!(there.fallible().get(key).await.unwrap(), None, "{key}");
        entry().or_insert_with(async || 2).await;
        assert_eq!(there.fallible().get(key).await.unwrap().as_deref(), Some(&2), "{key}");
    }
    processes.here.invalidate_tags(["all", "t0"]).await.unwrap();
    assert!(there.get_many(0..12_u32).await.iter().all(Option::is_none));
}

async fn epoch_is_invalidated_everywhere(processes: &Processes) {
    let here = processes.here.cache::<u32>("epoch").epoch(true).build().unwrap();
    let there = processes.there.cache::<u32>("epoch").epoch(true).build().unwrap();
    here.insert_many((0..30_u32).map(|key| (key, key))).await;
    assert!(there.get_many(0..30_u32).await.iter().all(Option::is_some));
    there.invalidate_all().await.unwrap();
    assert!(here.get_many(0..30_u32).await.iter().all(Option::is_none));
}

async fn patterns_reach_all_servers(processes: &Processes) {
    let here = processes.here.cache::<u32>("pattern").build().unwrap();
    let there = processes.there.cache::<u32>("pattern").build().unwrap();
    here.insert_many((0..50_u32).map(|key| (key, key))).await;
    let loaded = here.get_or_insert_with("1 in flight", async || {
        there.invalidate_pattern("1*").await.unwrap();
        1
    });
    loaded.await;
    assert_eq!(there.fallible().get("1 in flight").await.unwrap(), None);
    let left = there.get_many(0..50_u32).await;
    assert_eq!(left.iter().filter(|value| value.is_some()).count(), 39);
    there.invalidate_all().await.unwrap();
    assert!(here.get_many(0..50_u32).await.iter().all(Option::is_none));
}

async fn writes_are_not_undone(processes: &Processes) {
    let here = processes.here.cache::<u32>("written").build().unwrap();
    let there = processes.there.cache::<u32>("written").build().unwrap();
    for key in 0..8_u32 {
        // The load reads the old value before the write, and completes after it.
        let loaded = here.get_or_insert_with(key, async || {
            drop(there.write_through(key, async || Ok::<_, Infallible>(2)).await.unwrap());
            1
        });
        assert_eq!(*loaded.await, 1);
        assert_eq!(here.fallible().get(key).await.unwrap().as_deref(), Some(&2), "{key}");
    }
}

async fn many_keys_are_batched(processes: &Processes) {
    let here = processes.here.cache::<u32>("many").build().unwrap();
    let there = processes.there.cache::<u32>("many").build().unwrap();
    here.insert_many((0..300_u32).map(|key| (key, key + 1))).await;
    let values = there.get_many(0..301_u32).await;
    assert!((0..300).all(|key| values[key as usize].as_deref() == Some(&(key + 1))));
    assert_eq!(values[300], None);
    assert_eq!(here.stats().errors, 0);
}

async fn cancelled_leader_leaves_no_lease(processes: &Processes) {
    let here = processes.here.cache::<u32>("cancelled").build().unwrap();
    let there = processes.there.cache::<u32>("cancelled").build().unwrap();
    for key in 0..8_u32 {
        let began = here.get_or_insert_with(key, async || {
            pause(Duration::from_secs(60)).await;
            1
        });
        let started = std::pin::pin!(pause(Duration::from_millis(10)));
        drop(futures_util::future::select(Box::pin(began), started).await);
    }
    // No call waits for a lease left behind.
    let calls = (0..8_u32).map(|key| there.get_or_insert_with(key, async || 2));
    assert!(join_all(calls).await.iter().all(|value| **value == 2));
    assert_eq!(there.stats().degraded, 0);
}
