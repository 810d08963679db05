//! A cluster.

use hotshelf_testkit::{Failover, RedisCluster, Reply};

/// A key, and the slot that the second primary has for it at first.
const KEY: &str = "k";
const SLOT: u16 = 7629;

fn text(text: &str) -> Reply {
    Reply::Text(text.to_owned())
}

/// Gives an error's first word.
fn error(reply: &Reply) -> &str {
    let Reply::Error(text) = reply else { panic!("{reply:?}") };
    text.split_once(' ').map_or(text, |(word, _)| word)
}

#[test]
fn a_cluster_serves_every_slot_and_dies_with_its_handle() {
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
fn a_slot_moves_step_by_step() {
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
fn a_replica_takes_over_in_every_way_and_gives_back() {
    let cluster = RedisCluster::start().unwrap();
    cluster.node(1).command(&["SET", KEY, "1"]);
    let ways = [Failover::Orderly, Failover::Force, Failover::Takeover, Failover::Orderly];
    for (how, (replica, primary)) in ways.into_iter().zip([(4, 1), (1, 4)].into_iter().cycle()) {
        cluster.failover(replica, how);
        cluster.wait_until_ok();
        assert_eq!(cluster.owner(SLOT), replica, "{how:?}");
        assert_eq!(cluster.replicas_of(replica), [primary], "{how:?}");
        assert_eq!(cluster.node(replica).cli(&["GET", KEY]), "1", "{how:?}");
    }
}

#[test]
fn a_killed_primary_is_replaced_and_comes_back_as_a_replica() {
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
fn a_paused_primary_is_replaced_and_resigns_when_it_goes_on() {
    let cluster = RedisCluster::start().unwrap();
    cluster.pause(1);
    cluster.wait_until_ok();
    assert_eq!(cluster.owner(SLOT), 4);
    cluster.resume(1);
    cluster.wait_until_ok();
    assert_eq!(cluster.replicas_of(4), [1]);
}

#[test]
fn a_cluster_with_a_password_moves_slots_too() {
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
