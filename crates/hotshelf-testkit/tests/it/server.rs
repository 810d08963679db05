//! Tests of `RedisServer`.

use hotshelf_testkit::{RedisServer, Reply};

#[test]
fn restarted_server_is_empty() {
    let mut server = RedisServer::start().unwrap();
    server.command(&["SET", "k", "1"]);
    for _ in 0..3 {
        server.kill();
        assert!(!server.is_running());
        server.restart().unwrap();
        assert_eq!(server.cli(&["PING"]), "PONG");
        assert_eq!(server.command(&["GET", "k"]), Reply::Nil);
    }
}

#[test]
fn resumed_server_keeps_its_data() {
    let server = RedisServer::start().unwrap();
    server.command(&["SET", "k", "1"]);
    server.pause();
    assert!(!server.is_running());
    server.resume();
    assert_eq!(server.cli(&["GET", "k"]), "1");
}

#[test]
fn commands_use_the_password() {
    let server = RedisServer::start_with(&["--requirepass", "secret"]).unwrap();
    assert_eq!(server.cli(&["PING"]), "PONG");
}

#[test]
fn failed_start_reports_log() {
    let error = RedisServer::start_with(&["--no-such-setting", "1"]).unwrap_err();
    assert!(error.to_string().contains("no-such-setting"), "{error}");
}

#[test]
fn concurrent_servers_have_different_ports() {
    let start = || std::thread::spawn(|| RedisServer::start().unwrap());
    let threads: Vec<_> = (0..8).map(|_| start()).collect();
    let servers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let mut ports: Vec<_> = servers.iter().map(RedisServer::port).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), servers.len());
}
