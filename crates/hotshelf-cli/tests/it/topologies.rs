//! Clusters, Sentinels, Unix sockets and Valkey.

use hotshelf::Store;
use hotshelf_testkit::{Middlebox, RedisCluster, RedisSentinels, RedisServer, valkey_server};
use serde_json::Value;

use crate::program::{filled, run_with};

/// Runs a command with `--json`, and returns what it has written.
fn json(url: &str, arguments: &[&str]) -> Value {
    let run = run_with(&[], &[arguments, &["--json", "--url", url]].concat());
    assert_eq!(run.code, 0, "{arguments:?}: {run:?}");
    run.json()
}

/// Stores 30 entries, looks at them, and removes them.
async fn check_commands(url: &str) {
    let store = Store::connect(url).await.unwrap();
    let cache = store.cache::<String>("products").prefix("shop").build().unwrap();
    for key in 0..30 {
        assert!(cache.entry(key).tags(["all"]).insert("lamp".to_owned()).await);
    }
    let info = json(url, &["info"]);
    assert_eq!((&info["keys"], &info["namespaces"][0]["keys"]), (&31.into(), &30.into()), "{info}");
    let listing = json(url, &["ls"]);
    assert_eq!(listing["keys"].as_array().unwrap().len(), 30);
    assert!(listing["keys"].as_array().unwrap().iter().all(|key| key["state"] == "fresh"));
    assert_eq!(json(url, &["sizes"])["namespaces"][0]["measured"], 30);
    assert_eq!(json(url, &["explain", "shop:v1:products:7"])["tags"][0]["valid"], true);
    assert_eq!(json(url, &["doctor"])["faults"], 0);
    json(url, &["stats", "--interval", "0.02"]);
    json(url, &["bench", "--requests", "100"]);
    let tag = ["invalidate", "--yes", "--tag", "all", "--prefix", "shop"];
    assert_eq!(json(url, &tag)["applied"], true);
    assert_eq!(cache.get(7).await, None);
    let keys =
        ["invalidate", "--yes", "--key", "shop:v1:products:1", "--key", "shop:v1:products:2"];
    assert_eq!(json(url, &keys)["removed"], 2);
    let removed = json(url, &["invalidate", "--yes", "--cache", "shop:v1:products"]);
    assert_eq!(removed["removed"], 28);
    assert_eq!(json(url, &["info"])["keys"], 0);
    store.close().await;
}

#[tokio::test]
async fn commands_work_on_a_cluster() {
    let cluster = RedisCluster::start().unwrap();
    check_commands(&cluster.url()).await;
    let topology = json(&cluster.url(), &["info"]);
    assert_eq!(topology["servers"], 3);
}

#[tokio::test]
async fn commands_work_behind_sentinels() {
    check_commands(&RedisSentinels::start().unwrap().url()).await;
}

/// Connections to a replica are closed again and again: its address may lead to the primary by now.
#[tokio::test]
async fn reads_work_on_a_replica() {
    let primary = filled().await;
    let replica = RedisServer::start().unwrap();
    let _ = replica.cli(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    while replica.cli(&["DBSIZE"]) != "4" {}
    let key = "shop:v1:products:1";
    for _ in 0..4 {
        for arguments in [
            &["get", key][..],
            &["explain", key],
            &["ttl", key],
            &["ls"],
            &["sizes"],
            &["top"],
            &["info"],
            &["stats", "--interval", "0.3"],
        ] {
            let listed = json(&replica.url(), arguments);
            assert!(arguments[0] != "ls" || listed["keys"].as_array().unwrap().len() == 3);
        }
    }
    let run = run_with(&[], &["doctor", "--json", "--url", &replica.url()]);
    let findings = run.json();
    let mut findings = findings["findings"].as_array().unwrap().iter();
    let topology = findings.find(|it| it["check"] == "topology").unwrap();
    assert_eq!((run.code, &topology["what"]), (1, &"a read-only replica".into()), "{run:?}");
}

/// twemproxy closes the connection at `TIME`, as at all commands that it doesn't know.
#[tokio::test]
async fn entries_are_read_without_the_time() {
    let server = filled().await;
    let proxy = Middlebox::twemproxy(&server).unwrap();
    let key = "shop:v1:products:1";
    for arguments in [&["get", key][..], &["explain", key], &["ttl", key]] {
        json(&proxy.url(), arguments);
    }
    let explained = json(&proxy.url(), &["explain", key]);
    assert_eq!((&explained["verdict"], &explained["entry"]["age"]), (&"hit".into(), &Value::Null));
    assert_eq!(explained["tags"][0]["valid"], true, "{explained}");
    assert_eq!(json(&proxy.url(), &["ttl", key])["fresh_for"], Value::Null);
}

#[tokio::test]
async fn commands_work_on_a_socket() {
    let server = RedisServer::start().unwrap();
    check_commands(&format!("unix://{}", server.socket())).await;
}

#[tokio::test]
async fn commands_work_on_valkey() {
    if let Some(program) = valkey_server() {
        let server = RedisServer::start_program(program, &[]).unwrap();
        check_commands(&server.url()).await;
    }
}
