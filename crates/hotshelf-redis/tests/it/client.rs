//! The raw client and its connections.

use std::time::Duration;

use futures_util::TryStreamExt;
use hotshelf_core::{Backend, ErrorKind, Remaining};
use hotshelf_redis::{Expiry, RedisClient, RedisOptions, Reply, Script, SetIf, SetOptions};
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
        panic!("RESP3 replies with a map");
    };
    assert_eq!(pairs[0].1.clone().bytes().unwrap().unwrap(), "value");
}

#[tokio::test]
async fn pipeline_continues_after_failed_command() {
    let server = support::server();
    let backend = support::backend(&server.url());
    let commands = [vec!["SET", "text", "x"], vec!["INCR", "text"], vec!["GET", "text"]];
    let replies = backend.client().pipeline(&commands).await.unwrap();

    assert_eq!(replies.len(), 3);
    assert_eq!(replies[1].clone().ok().unwrap_err().kind(), ErrorKind::Server);
    assert_eq!(replies[2].clone().bytes().unwrap().unwrap(), "x");
}

#[tokio::test]
async fn client_timeout_overrides_store_timeout() {
    let server = support::server();
    let backend = support::backend(&server.url());
    backend.ping().await.unwrap();
    assert_eq!(server.cli(&["CLIENT", "PAUSE", "2000"]).trim(), "OK");
    let longer = backend.client().clone().with_timeout(Duration::from_secs(20));

    let (short, longer) =
        tokio::join!(backend.client().command(&["DBSIZE"]), longer.command(&["DBSIZE"]));
    assert_eq!(short.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(longer.unwrap().integer().unwrap(), 0);
}

#[tokio::test]
async fn empty_command_is_refused() {
    let server = support::server();
    let nothing: [&str; 0] = [];
    let error = support::backend(&server.url()).client().command(&nothing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn url_selects_socket_and_database() {
    let server = support::server();
    let backend = support::backend(&format!("unix://{}?db=3", server.socket()));
    backend.client().command(&["SET", "k", "here"]).await.unwrap();
    assert_eq!(server.cli(&["GET", "k"]), "");
    let other = support::backend(&format!("{}/3", server.url()));
    assert_eq!(other.read(&["k".into()]).await.unwrap()[0].as_deref(), Some(&b"here"[..]));
}

#[tokio::test]
async fn wrong_password_is_never_shown() {
    let server = RedisServer::start_with(&["--requirepass", "correct"]).unwrap();
    let url = server.url().replace("redis://", "redis://:sekret@");
    let error = support::backend(&url).ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(!format!("{error} {error:?}").contains("sekret"), "{error:?}");

    let url = server.url().replace("redis://", "redis://:correct@");
    support::backend(&url).ping().await.unwrap();
}

#[tokio::test]
async fn missing_password_is_reported() {
    let server = RedisServer::start_with(&["--requirepass", "correct"]).unwrap();
    let error = support::backend(&server.url()).ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error:?}");
}

#[tokio::test]
async fn callers_share_one_named_connection() {
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

#[tokio::test]
async fn common_commands_have_typed_replies() {
    for arguments in [&[][..], &["--rename-command", "HELLO", ""]] {
        let server = RedisServer::start_with(arguments).unwrap();
        let backend = support::backend(&server.url());
        let redis = backend.client();
        strings(redis).await;
        collections(redis).await;
        sorted_sets(redis).await;
        keys(redis).await;
        assert!(redis.info().await.unwrap().contains("redis_version"));
        assert_eq!(redis.publish("unused", "message").await.unwrap(), 0);
    }
}

async fn strings(redis: &RedisClient) {
    redis.set("s", "a").await.unwrap();
    assert_eq!(redis.append("s", "b").await.unwrap(), 2);
    assert_eq!(redis.replace("s", "c").await.unwrap().unwrap(), "ab");
    assert_eq!(redis.replace("new", "x").await.unwrap(), None);
    assert_eq!(redis.incr_by("n", -5).await.unwrap(), -5);
    redis.mset(&[("m1", "1"), ("m2", "2")]).await.unwrap();
    let values = redis.mget(&["m2", "none", "m1"]).await.unwrap();
    assert_eq!(values, [Some("2".into()), None, Some("1".into())]);
    assert_eq!(redis.mget::<&str>(&[]).await.unwrap(), []);

    let minute = Expiry::After(Duration::from_secs(60));
    let missing = SetOptions { expiry: minute, only: SetIf::Missing };
    assert!(!redis.set_with("s", "d", missing).await.unwrap());
    let present = SetOptions { expiry: minute, only: SetIf::Present };
    assert!(redis.set_with("s", "d", present).await.unwrap());
    assert!(matches!(redis.remaining("s").await.unwrap(), Remaining::After(_)));
    let keep = SetOptions { expiry: Expiry::Keep, only: SetIf::Always };
    assert!(redis.set_with("s", "e", keep).await.unwrap());
    assert!(matches!(redis.remaining("s").await.unwrap(), Remaining::After(_)));
}

async fn collections(redis: &RedisClient) {
    assert_eq!(redis.hset("h", &[("a", "1"), ("b", "2")]).await.unwrap(), 2);
    assert_eq!(redis.hget("h", "a").await.unwrap().unwrap(), "1");
    assert_eq!(redis.hincr_by("h", "a", 2).await.unwrap(), 3);
    let pairs = redis.hgetall("h").await.unwrap();
    assert_eq!(pairs, [("a".into(), "3".into()), ("b".into(), "2".into())]);
    assert_eq!(redis.hdel("h", &["a", "none"]).await.unwrap(), 1);

    assert_eq!(redis.rpush("l", &["2", "3"]).await.unwrap(), 2);
    assert_eq!(redis.lpush("l", &["1"]).await.unwrap(), 3);
    assert_eq!(redis.lrange("l", 0, -1).await.unwrap(), ["1", "2", "3"]);
    assert_eq!(redis.lpop("l").await.unwrap().unwrap(), "1");
    assert_eq!(redis.rpop("l").await.unwrap().unwrap(), "3");
    assert_eq!(redis.llen("l").await.unwrap(), 1);

    assert_eq!(redis.sadd("set", &["a", "b"]).await.unwrap(), 2);
    assert!(redis.sismember("set", "a").await.unwrap());
    assert_eq!(redis.srem("set", &["a"]).await.unwrap(), 1);
    assert_eq!(redis.smembers("set").await.unwrap(), ["b"]);
    assert_eq!(redis.scard("set").await.unwrap(), 1);
}

async fn sorted_sets(redis: &RedisClient) {
    assert_eq!(redis.zadd("z", &[(1.5, "a"), (0.5, "b")]).await.unwrap(), 2);
    assert_eq!(redis.zrange("z", 0, -1).await.unwrap(), ["b", "a"]);
    assert_eq!(redis.zscore("z", "a").await.unwrap(), Some(1.5));
    assert_eq!(redis.zscore("z", "none").await.unwrap(), None);
    assert_eq!(redis.zincr_by("z", 2.25, "a").await.unwrap(), 3.75);
    assert_eq!(redis.zrem("z", &["a"]).await.unwrap(), 1);
    assert_eq!(redis.zcard("z").await.unwrap(), 1);
}

async fn keys(redis: &RedisClient) {
    assert_eq!(redis.exists(&["s", "n", "none"]).await.unwrap(), 2);
    assert!(redis.expire("n", Duration::from_secs(60)).await.unwrap());
    assert!(redis.persist("n").await.unwrap());
    assert_eq!(redis.remaining("n").await.unwrap(), Remaining::Persistent);
    assert_eq!(redis.remaining("none").await.unwrap(), Remaining::Missing);
    assert_eq!(redis.unlink(&["n", "none"]).await.unwrap(), 1);
    let mut found: Vec<_> = redis.scan("m*").keys().try_collect().await.unwrap();
    found.sort_unstable();
    assert_eq!(found, ["m1", "m2"]);
}

#[tokio::test]
async fn transactions_are_atomic() {
    let server = support::server();
    let backend = support::backend(&server.url());
    let redis = backend.client();
    let replies = redis.transaction(&[&["SET", "t", "x"][..], &["INCR", "t"], &["GET", "t"]]).await;
    let replies = replies.unwrap();
    assert_eq!(replies[1].clone().ok().unwrap_err().kind(), ErrorKind::Server);
    assert_eq!(replies[2].clone().bytes().unwrap().unwrap(), "x");

    let error = redis.transaction(&[&["SET", "t", "y"][..], &["NOSUCH"]]).await.unwrap_err();
    let words = std::error::Error::source(&error).unwrap().to_string();
    assert!(words.contains("unknown command"), "the reason of EXECABORT: {words}");
    assert_eq!(redis.get("t").await.unwrap().unwrap(), "x");
    redis.ping().await.unwrap();
}

#[tokio::test]
async fn known_scripts_are_sent_by_hash() {
    let server = support::server();
    let backend = support::backend(&server.url());
    let script = Script::new("return {KEYS[1], ARGV[1]}");
    for round in 0..2 {
        let reply = backend.client().run_script(&script, &["k"], &["a"]).await.unwrap();
        assert_eq!(reply.array().unwrap().len(), 2, "{round}");
    }
    let calls = server.cli(&["INFO", "commandstats"]);
    assert!(calls.contains("cmdstat_eval:calls=1,"), "{calls}");
    assert!(calls.contains("cmdstat_evalsha:calls=2,"), "{calls}");
}

#[tokio::test]
async fn server_errors_have_their_kinds() {
    let server = RedisServer::start_with(&["--maxmemory", "1"]).unwrap();
    let backend = support::backend(&server.url());
    let redis = backend.client();
    let kind = async |command: &[&str]| redis.command(command).await.unwrap_err().kind();
    assert_eq!(kind(&["SET", "k", "v"]).await, ErrorKind::OutOfMemory);
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    redis.rpush("list", &["a"]).await.unwrap();
    assert_eq!(kind(&["GET", "list"]).await, ErrorKind::WrongType);
    assert_eq!(kind(&["EVALSHA", "f00", "0"]).await, ErrorKind::NoScript);
    assert_eq!(kind(&["NOSUCH"]).await, ErrorKind::Server);
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    assert_eq!(kind(&["SET", "k", "v"]).await, ErrorKind::ReadOnly);
    let not_a_number = redis.command(&["PING"]).await.unwrap().integer().unwrap_err();
    assert_eq!(not_a_number.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn other_protocol_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = support::backend(&url).ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
    assert!(error.to_string().contains("is it Redis"), "{error}");
}
