//! Servers with restricted users.

use std::convert::Infallible;

use hotshelf::{ErrorKind, Store};
use hotshelf_testkit::{RedisCluster, RedisSentinels, RedisServer, Reply};

use crate::support::{on_tokio, server};

/// Returns the command that SECURITY.md documents for granting permissions.
fn documented() -> Vec<&'static str> {
    let page = include_str!("../../../../SECURITY.md");
    let command = page.lines().find(|line| line.starts_with("ACL SETUSER"));
    command.unwrap().split_whitespace().collect()
}

async fn connect(server: &RedisServer, permissions: &[&str]) -> Store {
    assert!(matches!(server.command(permissions), Reply::Text(_)), "{permissions:?}");
    let url = server.url().replace("redis://", "redis://app:password@");
    Store::connect(&url).await.unwrap()
}

#[test]
fn documented_permissions_suffice() {
    on_tokio(async {
        let server = server();
        let store = connect(&server, &documented()).await;
        // An identifier with a brace has a lease with another name.
        for (name, id) in [("n", "k"), ("odd", "{a}b"), ("odder", "a}b")] {
            let cache = store.cache::<u32>(name).prefix("app").epoch(true).build().unwrap();
            assert_eq!(*cache.entry(id).tags(["t"]).or_insert_with(async || 1).await, 1);
            assert_eq!(cache.get(id).await.as_deref(), Some(&1));
            store.invalidate_tag("t").await.unwrap();
            cache.fallible().insert(id, 2).await.unwrap();
            let written = async || Ok::<_, Infallible>(3);
            drop(cache.write_through(id, written).await.unwrap());
            assert_eq!(cache.fallible().get(id).await.unwrap().as_deref(), Some(&3));
            assert!(cache.ticket(id).await.unwrap().fill(4).await);
            cache.fallible().remaining(id).await.unwrap();
            cache.invalidate_pattern("a*").await.unwrap();
            cache.invalidate(id).await.unwrap();
            cache.invalidate_all().await.unwrap();
            assert_eq!(cache.stats().errors, 0, "{id}");
        }
        assert!(store.info().await.server.is_some());
        let other = store.cache::<u32>("n").prefix("other").build().unwrap();
        let error = other.fallible().insert("k", 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permission);
        assert!(error.to_string().contains("SECURITY.md"), "{error}");
    });
}

/// For more than one server, SECURITY.md documents additional permissions.
#[test]
fn documented_permissions_suffice_for_many_servers() {
    let page = include_str!("../../../../SECURITY.md");
    on_tokio(async {
        let more = ["+cluster|slots", "+cluster|shards", "+asking"];
        assert!(page.contains(&more.join(" ")));
        let cluster = RedisCluster::start().unwrap();
        for node in cluster.nodes() {
            node.command(&[&documented()[..], &more].concat());
        }
        fills_and_invalidates(&cluster.url().replace("://", "://app:password@")).await;

        let more = ["+role"];
        assert!(page.contains(more[0]));
        let sentinels = RedisSentinels::start().unwrap();
        for server in sentinels.servers() {
            server.command(&[&documented()[..], &more].concat());
        }
        fills_and_invalidates(&sentinels.url().replace("://", "://app:password@")).await;
    });
}

async fn fills_and_invalidates(url: &str) {
    let store = Store::connect(url).await.unwrap();
    let cache = store.cache::<u32>("n").prefix("app").build().unwrap();
    for key in 0..20_u32 {
        assert_eq!(*cache.entry(key).tags(["t"]).or_insert_with(async || 1).await, 1);
        assert_eq!(cache.fallible().get(key).await.unwrap().as_deref(), Some(&1));
    }
    store.invalidate_tag("t").await.unwrap();
    cache.invalidate_many(0..20_u32).await.unwrap();
    assert_eq!(cache.stats().errors, 0);
}

#[test]
fn without_scripts_nothing_is_stored() {
    on_tokio(async {
        let server = server();
        let full = connect(&server, &documented()).await;
        let cache = full.cache::<u32>("n").prefix("app").build().unwrap();
        cache.fallible().insert("k", 1).await.unwrap();

        let without = connect(&server, &[&documented()[..], &["-@scripting"]].concat()).await;
        let cache = without.cache::<u32>("n").prefix("app").build().unwrap();
        assert_eq!(cache.fallible().get("k").await.unwrap().as_deref(), Some(&1));
        cache.invalidate("k").await.unwrap();
        for value in 2..5 {
            assert_eq!(*cache.get_or_insert_with("k", async || value).await, value);
        }
        assert_eq!(cache.fallible().get("k").await.unwrap(), None);
        let stats = cache.stats();
        assert_eq!((stats.degraded, stats.errors), (3, 3));
        let error = cache.fallible().insert("k", 5).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permission);
        assert!(error.to_string().contains("SECURITY.md"), "{error}");
    });
}
