//! Tests of `RedisCluster`.

use hotshelf_testkit::{Failover, RedisCluster, Reply};

/// A key, and its slot, which the second primary owns at the start.
const KEY: &str = "k";
const SLOT: u16 = 7629;

fn text(text: &str) -> Reply {
    Reply::Text(text.to_owned())
}

/// Returns the first word of an error.
fn error(reply: &Reply) -> &str {
    let Reply::Error(text) = reply else { panic!("{reply:?}") };
    text.split_once(' ').map_or(text, |(word, _)| word)
}

#[test]
fn drop_stops_cluster_of_all_slots() {
    let cluster = RedisCluster::start().unwrap();
    assert_eq!([0, 5460, 5461, 16383].map(|slot| cluster.owner(slot)), [0, 0, 1, 2]);
    assert_eq!([0, 1, 2].map(|primary| cluster.replicas_of(primary)), [[3], [4], [5]]);
    assert_eq!(cluster.primaries(), [0, 1, 2]);
    assert_eq!(cluster.node(1).command(&["SET", KEY, "1"]), text("OK"));
    assert_eq!(error(&cluster.node(0).command(&["GET", KEY])), "MOVED");
    assert_eq!(cluster.command_all(&["FLUSHALL"]), [text("OK"), text("OK"), text("OK")]);
    assert_eq!(cluster.node(1).command(&["GET", KEY]), Reply::Nil);

    let ports: Vec<_> = cluster.nodes().iter().map(hotshelf_testkit::RedisServer::port).collect();
    let addresses: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    assert_eq!(cluster.url(), format!("redis+cluster://{}", addresses.join(",")));
    drop(cluster);
    for port in ports {
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}

#[test]
fn slot_migrates_step_by_step() {
    let cluster = RedisCluster::start().unwrap();
    let [from, to] = [cluster.node(1), cluster.node(2)];
    for number in 0..250 {
        from.command(&["SET", &format!("{{{KEY}}}{number}"), "1"]);
    }
    cluster.migrate_begin(SLOT, 2);
    assert_eq!(cluster.owner(SLOT), 1);
    assert_eq!(error(&from.command(&["GET", "{k}missing"])), "ASK");
    assert_eq!(error(&from.command(&["MGET", "{k}1", "{k}missing"])), "TRYAGAIN");
    cluster.migrate_keys(SLOT, 2);
    assert_eq!(error(&from.command(&["GET", "{k}1"])), "ASK");
    cluster.migrate_end(SLOT, 2);
    assert_eq!(cluster.owner(SLOT), 2);
    assert_eq!(to.cli(&["GET", "{k}249"]), "1");
    assert_eq!(error(&from.command(&["GET", "{k}1"])), "MOVED");
    cluster.wait_until_ok();
}

#[test]
fn failover_promotes_and_returns() {
    let cluster = RedisCluster::start().unwrap();
    cluster.node(1).command(&["SET", KEY, "1"]);
    let ways = [Failover::Orderly, Failover::Force, Failover::Takeover, Failover::Orderly];
    for (failover, (replica, primary)) in ways.into_iter().zip([(4, 1), (1, 4)].into_iter().cycle())
    {
        cluster.failover(replica, failover);
        cluster.wait_until_ok();
        assert_eq!(cluster.owner(SLOT), replica, "{failover:?}");
        assert_eq!(cluster.replicas_of(replica), [primary], "{failover:?}");
        assert_eq!(cluster.node(replica).cli(&["GET", KEY]), "1", "{failover:?}");
    }
}

#[test]
fn killed_primary_returns_as_replica() {
    let mut cluster = RedisCluster::start().unwrap();
    cluster.kill(1);
    assert_eq!(cluster.owner(SLOT), 1);
    cluster.wait_until_ok();
    assert_eq!(cluster.owner(SLOT), 4);
    cluster.restart(1).unwrap();
    cluster.wait_until_ok();
    assert_eq!(cluster.replicas_of(4), [1]);
}

#[test]
fn paused_primary_returns_as_replica() {
    let cluster = RedisCluster::start().unwrap();
    cluster.pause(1);
    cluster.wait_until_ok();
    assert_eq!(cluster.owner(SLOT), 4);
    cluster.resume(1);
    cluster.wait_until_ok();
    assert_eq!(cluster.replicas_of(4), [1]);
}

#[test]
fn slot_migrates_with_password() {
    let arguments = ["--requirepass", "secret", "--masterauth", "secret"];
    let cluster = RedisCluster::start_sized(2, 0, &arguments).unwrap();
    let from = cluster.owner(SLOT);
    cluster.node(from).command(&["SET", KEY, "1"]);
    let to = 1 - from;
    cluster.migrate_begin(SLOT, to);
    cluster.migrate_keys(SLOT, to);
    cluster.migrate_end(SLOT, to);
    assert_eq!(cluster.node(to).cli(&["GET", KEY]), "1");
}
