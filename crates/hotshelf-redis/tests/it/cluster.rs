//! A Cluster whose slots migrate and whose nodes fail.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::backend::{Acquire, Acquired, Fill, Seen, Stored, Token};
use hotshelf_core::{Backend, ErrorKind, Pattern, Ttl, WireKey};
use hotshelf_redis::{RedisBackend, RedisOptions};
use hotshelf_testkit::{Failover, RedisCluster};
use hotshelf_wire::slot;

use crate::load::under_load;
use crate::support;

const STORE: Duration = Duration::from_millis(250);

fn cluster() -> RedisCluster {
    RedisCluster::start().expect("redis-server is installed")
}

async fn backend(cluster: &RedisCluster) -> RedisBackend {
    let backend = support::backend(&cluster.url());
    let up = async || backend.client().dbsize().await.ok();
    support::until("all primaries to reply", up).await;
    backend
}

/// Returns a node that doesn't own a slot.
fn another(cluster: &RedisCluster, slot: u16) -> usize {
    let owner = cluster.owner(slot);
    cluster.primaries().into_iter().find(|node| *node != owner).unwrap()
}

#[tokio::test]
async fn keys_go_to_slot_owners() {
    let cluster = cluster();
    let backend = backend(&cluster).await;
    let redis = backend.client();
    let keys: Vec<String> = (0..300).map(|number| format!("k{number}")).collect();
    let pairs: Vec<_> = keys.iter().map(|key| (key, key)).collect();
    redis.mset(&pairs).await.unwrap();
    let values = redis.mget(&keys).await.unwrap();
    assert!(values.iter().zip(&keys).all(|(value, key)| value.as_deref() == Some(key.as_bytes())));
    for node in cluster.primaries() {
        assert!(cluster.node(node).cli(&["DBSIZE"]).parse::<u64>().unwrap() > 50);
    }
    assert_eq!(redis.dbsize().await.unwrap(), 300);
    assert_eq!(redis.exists(&keys).await.unwrap(), 300);

    let mut scan = redis.scan("k*");
    let mut found = Vec::new();
    while let Some(keys) = scan.next_keys().await.unwrap() {
        found.extend(keys);
    }
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 300);
    assert_eq!(backend.invalidate_matching(&Pattern::new("k1*")).await.unwrap(), 111);
    assert_eq!(redis.unlink(&keys).await.unwrap(), 189);
}

#[tokio::test]
async fn cross_slot_commands_are_refused() {
    let cluster = cluster();
    let backend = backend(&cluster).await;
    let error = backend.client().command(&["MGET", "a", "b", "c"]).await.unwrap_err();
    assert!(error.to_string().contains("{tag}"), "{error}");
    let set = |key| ["SET", key, "1"];
    let together = backend.client().transaction(&[set("{t}a"), set("{t}b")]).await;
    assert_eq!(together.unwrap().len(), 2);
    let error = backend.client().transaction(&[set("a"), set("b")]).await.unwrap_err();
    assert!(!error.is_timeout(), "{error:?}");
    assert_eq!(backend.client().get("a").await.unwrap(), None);
}

/// While a slot migrates, keys are found on both nodes, and new ones are stored.
#[tokio::test]
async fn migrating_slot_serves_single_keys() {
    let cluster = cluster();
    let backend = backend(&cluster).await;
    let redis = backend.client();
    let slot = slot(b"{m}");
    redis.mset(&[("{m}:1", "1"), ("{m}:2", "2")]).await.unwrap();
    let to = another(&cluster, slot);
    cluster.migrate_begin(slot, to);
    redis.set("{m}:new", "new").await.unwrap();
    assert_eq!(cluster.node(to).cli(&["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()]), "1");
    for (key, value) in [("{m}:1", "1"), ("{m}:new", "new")] {
        assert_eq!(redis.get(key).await.unwrap().unwrap(), value);
    }
    assert_eq!(redis.mget(&["{m}:2", "{m}:new", "{m}:none"]).await.unwrap().len(), 3);
    cluster.migrate_keys(slot, to);
    cluster.migrate_end(slot, to);
    assert_eq!(redis.get("{m}:1").await.unwrap().unwrap(), "1");
    assert_eq!(cluster.owner(slot), to);
}

/// The protocol while a slot migrates (docs/protocol.md, "Clusters"): nothing is stored there,
/// entries on both nodes are invalidated, and earlier fills are refused.
#[tokio::test]
async fn invalidation_reaches_migrating_slot() {
    let cluster = cluster();
    let backend = backend(&cluster).await;
    let key = WireKey::from("{m}:entry");
    let slot = slot(b"m");
    let ttl = Ttl::new(Duration::from_secs(60)).unwrap();
    let acquire = async |backend: &RedisBackend| {
        let token = Token::random(&*support::runtime());
        let (lease, seen) = (Duration::from_secs(5), Seen::Nothing);
        let acquire =
            Acquire { key: &key, token, lease, seen, skip_foreign: true, replace_failure: false };
        (token, backend.acquire(acquire).await)
    };
    let fill = |token| {
        [Fill {
            key: key.clone(),
            token,
            value: "1".into(),
            decoded_size: 0,
            ttl,
            hold: None,
            kept: None,
        }]
    };
    for moved_first in [false, true] {
        let (token, granted) = acquire(&backend).await;
        assert!(matches!(granted, Ok(Acquired::Granted(_))), "{granted:?}");
        assert_eq!(backend.store(&fill(token)).await.remove(0).unwrap(), Stored::Stored);
        let to = another(&cluster, slot);
        cluster.migrate_begin(slot, to);
        if moved_first {
            cluster.migrate_keys(slot, to);
        }
        // The entry is on one of the nodes, its lease on none: a lease can't be granted.
        let (late, refused) = acquire(&backend).await;
        assert!(!matches!(refused, Ok(Acquired::Granted(_))), "{refused:?}");
        backend.invalidate(std::slice::from_ref(&key)).await.unwrap();
        assert_eq!(backend.read(std::slice::from_ref(&key)).await.unwrap(), [None]);
        let stored = backend.store(&fill(late)).await.remove(0);
        assert!(!matches!(stored, Ok(Stored::Stored)), "{stored:?}");
        cluster.migrate_keys(slot, to);
        cluster.migrate_end(slot, to);
        assert_eq!(backend.read(std::slice::from_ref(&key)).await.unwrap(), [None]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_migrate_under_load() {
    let cluster = Arc::new(cluster());
    let backend = backend(&cluster).await;
    let moving = Arc::clone(&cluster);
    let outcome = under_load(backend, STORE, move || {
        for number in 0..40 {
            let slot = slot(format!("k{number}").as_bytes());
            let to = another(&moving, slot);
            moving.migrate_begin(slot, to);
            moving.migrate_keys(slot, to);
            moving.migrate_end(slot, to);
        }
    });
    let outcome = outcome.await;
    // Only transactions can't follow a migrating slot.
    assert!(outcome.failed * 20 < outcome.answered, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_take_over_under_load() {
    let cluster = Arc::new(cluster());
    for how in [Failover::Orderly, Failover::Force, Failover::Takeover] {
        let backend = backend(&cluster).await;
        let failing = Arc::clone(&cluster);
        let outcome = under_load(backend, STORE, move || {
            let primary = failing.owner(slot(b"k1"));
            failing.failover(failing.replicas_of(primary)[0], how);
            failing.wait_until_ok();
        });
        assert!(outcome.await.answered > 100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_node_is_replaced_under_load() {
    let cluster = cluster();
    let backend = backend(&cluster).await;
    let outcome = under_load(backend, STORE, move || {
        let mut cluster = cluster;
        let primary = cluster.owner(slot(b"k1"));
        cluster.kill(primary);
        cluster.wait_until_ok();
        cluster.restart(primary).unwrap();
        cluster.wait_until_ok();
        cluster
    });
    let outcome = outcome.await;
    assert!(outcome.failed > 0 && outcome.answered > 100, "{outcome:?}");
}

#[tokio::test]
async fn frozen_node_affects_only_its_keys() {
    let cluster = cluster();
    let backend = backend(&cluster).await;
    let (frozen, other) = ("k1", "k2");
    assert_ne!(cluster.owner(slot(b"k1")), cluster.owner(slot(b"k2")));
    let owner = cluster.owner(slot(b"k1"));
    cluster.pause(owner);
    let start = support::now();
    for _ in 0..30 {
        backend.client().get(other).await.unwrap();
        assert!(backend.read(&[frozen.into()]).await.is_err());
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    cluster.resume(owner);
}

#[tokio::test]
async fn unreachable_cluster_fails_at_once() {
    let url = support::unreachable_url().replace("redis://", "redis+cluster://");
    let backend = support::backend(&url);
    support::assert_fails_at_once(&backend).await;
    backend.close().await;
    assert_eq!(backend.ping().await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn standalone_server_is_not_a_cluster() {
    let server = support::server();
    let options = RedisOptions::from_url(&server.url().replace("redis:", "redis+cluster:"));
    let error = support::backend_with(options.unwrap()).ping().await.unwrap_err();
    assert!(format!("{error:?}").contains("cluster"), "{error:?}");
}

/// `SCAN` has no key, so no node redirects it if the map is outdated.
#[tokio::test]
async fn scan_reaches_newly_joined_node() {
    let cluster = cluster();
    let backend = backend(&cluster).await;
    let slot = slot(b"m");
    let joining = cluster.replicas_of(another(&cluster, slot))[0];
    let node = cluster.node(joining);
    node.command(&["CLUSTER", "RESET", "SOFT"]);
    let nodes = cluster.node(cluster.owner(slot)).cli(&["CLUSTER", "NODES"]);
    let own = nodes.lines().find(|line| line.contains("myself")).unwrap();
    let (_, bus) = own.split(' ').nth(1).unwrap().split_once('@').unwrap();
    let port = cluster.node(cluster.owner(slot)).port().to_string();
    node.command(&["CLUSTER", "MEET", "127.0.0.1", &port, bus.split(',').next().unwrap()]);
    support::until("the node to know the others", async || {
        (node.cli(&["CLUSTER", "INFO"]).contains("cluster_known_nodes:6")
            && node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
        .then_some(())
    })
    .await;
    backend.client().set("{m}:entry", "1").await.unwrap();
    cluster.migrate_begin(slot, joining);
    cluster.migrate_keys(slot, joining);
    cluster.migrate_end(slot, joining);
    assert_eq!(backend.invalidate_matching(&Pattern::new("{m}*")).await.unwrap(), 1);
    assert_eq!(node.cli(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn many_keys_are_invalidated() {
    let cluster = cluster();
    let backend = backend(&cluster).await;
    backend.client().mset(&[("k1", "1"), ("k199999", "1")]).await.unwrap();
    let keys: Vec<_> = (0..200_000).map(|number| WireKey::from(format!("k{number}"))).collect();
    assert_eq!(backend.invalidate(&keys).await.unwrap(), 2);
}

/// The task that discovers the Cluster is dropped with its async runtime.
#[test]
fn discovery_restarts_in_later_runtime() {
    let cluster = cluster();
    let backend = support::backend(&cluster.url());
    let all = 0..cluster.nodes().len();
    all.clone().for_each(|node| cluster.pause(node));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime().block_on(support::until("all nodes to have failed", async || {
        let start = support::now();
        (backend.ping().await.is_err() && start.elapsed() < Duration::from_millis(5)).then_some(())
    }));
    all.for_each(|node| cluster.resume(node));
    runtime().block_on(support::ping_until_back(&backend));
}

#[tokio::test]
async fn transaction_follows_a_moved_slot() {
    let cluster = cluster();
    let backend = backend(&cluster).await;
    let slot = slot(b"{t}");
    let to = another(&cluster, slot);
    let set = |value: &'static str| [["SET", "{t}a", value], ["SET", "{t}b", value]];
    backend.client().transaction(&set("1")).await.unwrap();
    cluster.migrate_begin(slot, to);
    cluster.migrate_keys(slot, to);
    cluster.migrate_end(slot, to);
    let replies = backend.client().transaction(&set("2")).await.unwrap();
    assert_eq!(replies.len(), 2);
    assert_eq!(backend.client().get("{t}b").await.unwrap().unwrap(), "2");
}
