//! Tests of `RedisSentinels`.

use hotshelf_testkit::{Passwords, RedisSentinels, Reply};

#[test]
fn sentinels_know_the_primary() {
    let all = RedisSentinels::start().unwrap();
    assert_eq!(all.primary_index(), 0);
    assert_eq!(all.primary().port(), all.servers()[0].port());
    let ports: Vec<_> = all.sentinels().iter().map(|s| format!("127.0.0.1:{}", s.port())).collect();
    assert_eq!(all.url(), format!("redis+sentinel://{}/{}", ports.join(","), all.service()));
}

#[test]
fn repeated_failover_changes_primary() {
    let all = RedisSentinels::start().unwrap();
    all.primary().command(&["SET", "k", "1"]);
    for _ in 0..2 {
        let before = all.primary_index();
        let after = all.failover();
        assert_ne!(after, before);
        assert_eq!(all.primary_index(), after);
        all.wait_until_ok();
        let refused = all.servers()[before].command(&["SET", "k", "2"]);
        assert!(matches!(refused, Reply::Error(text) if text.starts_with("READONLY")));
        assert_eq!(all.primary().cli(&["GET", "k"]), "1");
    }
}

#[test]
fn killed_primary_returns_as_replica() {
    let mut all = RedisSentinels::start().unwrap();
    let killed = all.kill_primary();
    assert_ne!(all.wait_for_new_primary(), killed);
    all.restart(killed).unwrap();
    all.wait_until_ok();
    assert_ne!(all.primary_index(), killed);
}

#[test]
fn paused_primary_returns_as_replica() {
    let all = RedisSentinels::start().unwrap();
    let paused = all.pause_primary();
    assert_ne!(all.wait_for_new_primary(), paused);
    all.resume(paused);
    all.wait_until_ok();
    assert_ne!(all.primary_index(), paused);
}

#[test]
fn restarted_sentinel_learns_of_failover() {
    let mut all = RedisSentinels::start().unwrap();
    all.kill_sentinel(0);
    let primary = all.failover();
    all.restart_sentinel(0).unwrap();
    all.wait_until_ok();
    assert_eq!(all.primary_index(), primary);
}

#[test]
fn passwords_are_required_and_used() {
    let passwords = Passwords { server: Some("one"), sentinel: Some("two") };
    let all = RedisSentinels::start_with(passwords).unwrap();
    let url = all.url();
    assert!(url.starts_with("redis+sentinel://:one@127.0.0.1:"), "{url}");
    assert!(url.ends_with("/main?sentinel_password=two"), "{url}");
    let before = all.primary_index();
    assert_ne!(all.failover(), before);
    all.wait_until_ok();
}
