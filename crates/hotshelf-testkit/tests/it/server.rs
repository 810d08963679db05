//! A single server.

use hotshelf_testkit::{RedisServer, Reply};

#[test]
fn a_killed_server_comes_back_empty_on_its_port() {
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
fn a_paused_server_goes_on_where_it_was() {
    let server = RedisServer::start().unwrap();
    server.command(&["SET", "k", "1"]);
    server.pause();
    assert!(!server.is_running());
    server.resume();
    assert_eq!(server.cli(&["GET", "k"]), "1");
}

#[test]
fn commands_are_sent_with_the_servers_password() {
    let server = RedisServer::start_with(&["--requirepass", "secret"]).unwrap();
    assert_eq!(server.cli(&["PING"]), "PONG");
}

#[test]
fn a_server_that_does_not_come_up_says_why() {
    let error = RedisServer::start_with(&["--no-such-setting", "1"]).unwrap_err();
    assert!(error.to_string().contains("no-such-setting"), "{error}");
}

#[test]
fn servers_side_by_side_have_ports_of_their_own() {
    let start = || std::thread::spawn(|| RedisServer::start().unwrap());
    let threads: Vec<_> = (0..8).map(|_| start()).collect();
    let servers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let mut ports: Vec<_> = servers.iter().map(RedisServer::port).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), servers.len());
}
