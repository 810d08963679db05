//! The raw client, and what a server shows of us.

use hotshelf_core::{Backend, ErrorKind};
use hotshelf_redis::{RedisOptions, Reply};
use hotshelf_testkit::RedisServer;

use crate::support;

#[tokio::test]
async fn any_command_can_be_sent() {
    let server = support::server();
    let backend = support::backend(&server.url());
    let redis = backend.client();

    assert_eq!(redis.command(&["INCRBY", "n", "5"]).await.unwrap().integer().unwrap(), 5);
    redis.command(&["HSET", "h", "field", "value"]).await.unwrap();
    let Reply::Map(pairs) = redis.command(&["HGETALL", "h"]).await.unwrap() else {
        panic!("RESP3 answers a map");
    };
    assert_eq!(pairs[0].1.clone().bytes().unwrap().unwrap(), "value");
}

#[tokio::test]
async fn a_failed_command_of_a_pipeline_stops_no_other() {
    let server = support::server();
    let backend = support::backend(&server.url());
    let commands = [vec!["SET", "text", "x"], vec!["INCR", "text"], vec!["GET", "text"]];
    let replies = backend.client().pipeline(&commands).await.unwrap();

    assert_eq!(replies.len(), 3);
    assert_eq!(replies[1].clone().ok().unwrap_err().kind(), ErrorKind::Server);
    assert_eq!(replies[2].clone().bytes().unwrap().unwrap(), "x");
}

#[tokio::test]
async fn a_command_needs_a_name() {
    let server = support::server();
    let nothing: [&str; 0] = [];
    let error = support::backend(&server.url()).client().command(&nothing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn the_unix_socket_and_the_database_of_the_url_are_used() {
    let server = support::server();
    let backend = support::backend(&format!("unix://{}?db=3", server.socket()));
    backend.client().command(&["SET", "k", "here"]).await.unwrap();
    assert_eq!(server.cli(&["GET", "k"]), "");
    let other = support::backend(&format!("{}/3", server.url()));
    assert_eq!(other.read(&["k".into()]).await.unwrap()[0].as_deref(), Some(&b"here"[..]));
}

#[tokio::test]
async fn a_wrong_password_is_said_and_never_shown() {
    let server = RedisServer::start_with(&["--requirepass", "correct"]).unwrap();
    let url = server.url().replace("redis://", "redis://:sekret@");
    let error = support::backend(&url).ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(!format!("{error} {error:?}").contains("sekret"), "{error:?}");

    let url = server.url().replace("redis://", "redis://:correct@");
    support::backend(&url).ping().await.unwrap();
}

#[tokio::test]
async fn a_missing_password_is_said() {
    let server = RedisServer::start_with(&["--requirepass", "correct"]).unwrap();
    let error = support::backend(&server.url()).ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error:?}");
}

#[tokio::test]
async fn the_server_sees_one_connection_with_our_name() {
    let server = support::server();
    let options = RedisOptions::from_url(&server.url()).unwrap().client_name("web-1");
    let backend = support::backend_with(options);
    let pings = (0..200).map(|_| backend.ping());
    for ping in pings.collect::<Vec<_>>() {
        ping.await.unwrap();
    }
    let clients = server.cli(&["CLIENT", "LIST", "TYPE", "normal"]);
    assert_eq!(clients.matches("name=web-1").count(), 1, "{clients}");
    assert!(clients.contains("resp=3"), "{clients}");
}
