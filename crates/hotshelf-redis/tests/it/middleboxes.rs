//! Real proxies between the client and its servers.

use std::time::Duration;

use hotshelf_core::{Backend, ErrorKind};
use hotshelf_redis::{RedisBackend, RedisOptions};
use hotshelf_testkit::{Middlebox, RedisServer};

use crate::support;

/// Behind a proxy that follows the role of its servers, a connection stays on the old primary.
#[tokio::test]
async fn planned_failover_behind_haproxy_is_followed() {
    let [first, second] = [(), ()].map(|()| support::server());
    second.command(&["REPLICAOF", "127.0.0.1", &first.port().to_string()]);
    let proxy = Middlebox::haproxy(&[&first, &second]).unwrap();
    let backend = support::backend(&proxy.url());
    support::ping_until_back(&backend).await;
    let write = async || backend.invalidate(&["k".into()]).await;
    support::until("the first primary", async || write().await.ok()).await;
    second.command(&["REPLICAOF", "NO", "ONE"]);
    first.command(&["REPLICAOF", "127.0.0.1", &second.port().to_string()]);
    let began = support::now();
    support::until("the new primary", async || write().await.ok()).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    backend.client().set("k", "v").await.unwrap();
    assert_eq!(second.cli(&["GET", "k"]).trim(), "v");
}

/// One that only reads never meets `READONLY`.
#[tokio::test]
async fn planned_failover_behind_haproxy_is_noticed_without_writes() {
    let [first, second] = [(), ()].map(|()| support::server());
    second.command(&["REPLICAOF", "127.0.0.1", &first.port().to_string()]);
    let proxy = Middlebox::haproxy(&[&first, &second]).unwrap();
    let options = RedisOptions::from_url(&proxy.url()).unwrap().client_name("reader");
    let backend = RedisBackend::new(&options, support::impatient_runtime()).unwrap();
    support::ping_until_back(&backend).await;
    let reads_from = |server: &RedisServer| server.cli(&["CLIENT", "LIST"]).contains("name=reader");
    support::until("the first primary", async || {
        let _ = backend.read(&["k".into()]).await;
        reads_from(&first).then_some(())
    })
    .await;
    second.command(&["REPLICAOF", "NO", "ONE"]);
    first.command(&["REPLICAOF", "127.0.0.1", &second.port().to_string()]);
    support::until("the new primary", async || {
        let _ = backend.read(&["k".into()]).await;
        (reads_from(&second) && !reads_from(&first)).then_some(())
    })
    .await;
}

/// A server that is a replica for good is not connected to again and again.
#[tokio::test]
async fn replica_is_given_up_slowly() {
    let [primary, replica] = [(), ()].map(|()| support::server());
    replica.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    let backend = support::backend(&replica.url());
    support::ping_until_back(&backend).await;
    let connections = || {
        let info = replica.cli(&["INFO", "stats"]);
        let line = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let before = connections();
    let mut refused = 0;
    for _ in 0..100 {
        let error = backend.client().set("k", "v").await.unwrap_err();
        refused += u32::from(error.kind() == ErrorKind::ReadOnly);
    }
    assert!(refused >= 98, "{refused}");
    // Each question about the connections is one, too.
    assert!(connections() - before <= 3, "{}", connections() - before);
    assert!(backend.read(&["k".into()]).await.is_ok());
}

/// twemproxy closes the connection at a command that it doesn't know: `HELLO`, `CLIENT`.
#[tokio::test]
async fn proxy_without_hello_is_served_with_resp2() {
    let server = support::server();
    let proxy = Middlebox::twemproxy(&server).unwrap();
    for url in [proxy.url(), format!("{}?client_name=web", proxy.url())] {
        let backend = support::backend(&url);
        let redis = backend.client();
        redis.set("k", "v").await.unwrap();
        assert_eq!(redis.get("k").await.unwrap().unwrap(), "v");
        assert_eq!(backend.invalidate(&["k".into()]).await.unwrap(), 1);
    }
}

/// What the proxy and the server say when the protocol is fixed.
#[tokio::test]
async fn protocol_can_be_fixed() {
    let server = RedisServer::start().unwrap();
    let backend = support::backend(&format!("{}?protocol=2", server.url()));
    let list = backend.client().command(&["CLIENT", "LIST"]).await.unwrap().bytes().unwrap();
    let list = String::from_utf8(list.unwrap().to_vec()).unwrap();
    assert!(list.contains("resp=2"), "{list}");
}
