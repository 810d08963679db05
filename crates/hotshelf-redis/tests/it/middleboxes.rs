//! Real proxies between the client and its servers.

use std::time::Duration;

use hotshelf_core::{Backend, ErrorKind};
use hotshelf_redis::{RedisBackend, RedisOptions};
use hotshelf_testkit::{Middlebox, RedisServer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::log::Log;
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

/// Starts a proxy that closes its first two connections, and returns its URL.
async fn closing_two(server: &RedisServer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let address = server.address();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut client, _) = listener.accept().await.unwrap();
            if number >= 2 {
                let mut server = TcpStream::connect(&address).await.unwrap();
                tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
            }
        }
    });
    url
}

/// A server that comes back between two attempts isn't taken for one that doesn't know `HELLO`.
#[tokio::test]
async fn connections_closed_in_passing_cost_no_resp3() {
    let server = support::server();
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let backend = support::backend_with(support::long_timeouts(&closing_two(&server).await));
    let list = backend.client().command(&["CLIENT", "LIST"]).await.unwrap().bytes().unwrap();
    let list = String::from_utf8(list.unwrap().to_vec()).unwrap();
    assert!(list.contains("resp=3"), "{list}");
    assert!(log.warnings().is_empty(), "{:?}", log.warnings());
}

/// What was given up during the handshake doesn't end the connection that replaces it.
#[tokio::test]
async fn connections_closed_in_passing_cost_no_message() {
    let server = support::server();
    let backend = support::backend_with(support::long_timeouts(&closing_two(&server).await));
    let mut messages = backend.client().pub_sub();
    messages.subscribe(&["news"]).await.unwrap();
    server.command(&["PUBLISH", "news", "x"]);
    assert_eq!(messages.next().await.unwrap().payload, "x");
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
