//! Servers that refuse connections or commands, or lack them.

use std::error::Error as _;
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::time::Duration;

use futures_util::future::join;
use hotshelf_core::{Backend, ErrorKind};
use hotshelf_testkit::RedisServer;

use crate::log::Log;
use crate::support;

#[tokio::test]
async fn full_server_says_so() {
    let server = RedisServer::start_with(&["--maxclients", "3"]).unwrap();
    let connect = |_| TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let _others: Vec<_> = (0..3).map(connect).collect();
    let backend = support::backend(&server.url());
    let error = support::until("the server's words", async || {
        // A reset connection may lose them.
        let error = backend.ping().await.unwrap_err();
        error.to_string().contains("maxclients").then_some(error)
    });
    assert_eq!(error.await.kind(), ErrorKind::Unavailable);
}

/// A server in protected mode refuses connections from elsewhere, before it reads any command.
#[tokio::test]
async fn protected_mode_is_named() {
    let Some(host) = own_address() else {
        eprintln!("skipped: this machine has no address but the loopback");
        return;
    };
    let arguments = ["--protected-mode", "yes", "--bind", "0.0.0.0"];
    let server = RedisServer::start_with(&arguments).unwrap();
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let backend = support::backend(&format!("redis://{host}:{}", server.port()));
    let rejected = || {
        let info = server.cli(&["INFO", "stats"]);
        let line = info.lines().find_map(|line| line.strip_prefix("rejected_connections:"));
        line.unwrap().trim().parse::<u32>().unwrap()
    };
    support::until("further attempts", async || {
        let error = backend.ping().await.unwrap_err();
        let (text, cause) = (error.to_string(), error.source().unwrap().to_string());
        assert_eq!(error.kind(), ErrorKind::Permission, "{text}: {cause}");
        assert!(text.contains("`protected-mode no`") && text.contains("set a password"), "{text}");
        assert!(cause.contains("Redis is running in protected mode"), "{cause}");
        (rejected() >= 3).then_some(())
    })
    .await;
    let lines = log.warnings();
    assert!(matches!(&lines[..], [line] if line.contains("`protected-mode no`")), "{lines:?}");
}

/// Returns an address of this machine that isn't the loopback's. No packet is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("198.51.100.1", 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[tokio::test]
async fn missing_password_is_named() {
    let server = RedisServer::start_with(&["--requirepass", "secret"]).unwrap();
    let url = format!("redis://127.0.0.1:{}", server.port());
    for protocol in ["", "?protocol=2"] {
        let error = support::backend(&format!("{url}{protocol}")).ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(error.to_string().contains("requires a password"), "{error}");
    }
}

#[tokio::test]
async fn keys_are_removed_without_unlink() {
    let renamed = RedisServer::start_with(&["--rename-command", "UNLINK", ""]).unwrap();
    let denied = support::server();
    denied.command(&["ACL", "SETUSER", "default", "-unlink"]);
    for server in [renamed, denied] {
        let backend = support::backend(&server.url());
        for _ in 0..2 {
            backend.client().mset(&[("a", "1"), ("b", "2")]).await.unwrap();
            assert_eq!(backend.invalidate(&["a".into(), "x".into()]).await.unwrap(), 1);
            assert_eq!(backend.client().unlink(&["b"]).await.unwrap(), 1);
        }
    }
}

#[tokio::test]
async fn any_number_of_keys_is_split() {
    let server = support::server();
    let backend = support::backend_with(support::long_timeouts(&server.url()));
    let redis = backend.client();
    let keys: Vec<String> = (0..66_000).map(|number| format!("k{number}")).collect();
    let pairs: Vec<_> = keys.iter().map(|key| (key, key)).collect();
    redis.mset(&pairs).await.unwrap();
    assert_eq!(redis.exists(&keys).await.unwrap(), 66_000);
    let values = redis.mget(&keys).await.unwrap();
    assert!(values.iter().zip(&keys).all(|(value, key)| value.as_deref() == Some(key.as_bytes())));
    let get = |key: &String| ["GET".to_owned(), key.clone()];
    let commands: Vec<_> = keys.iter().map(get).collect();
    assert_eq!(redis.pipeline(&commands).await.unwrap().len(), 66_000);
    assert_eq!(redis.unlink(&keys).await.unwrap(), 66_000);
}

/// A server that executes one slow command answers the ones behind it late, and works.
#[tokio::test]
async fn slow_command_is_waited_for() {
    let server = support::server();
    let backend = support::backend(&server.url());
    support::ping_until_back(&backend).await;
    let busy = "local began = redis.call('TIME')
        repeat local now = redis.call('TIME')
        until (now[1] - began[1]) * 1000000 + now[2] - began[2] > 1000000
        return 'done'";
    let slow = backend.client().clone().with_timeout(Duration::from_secs(10));
    let eval = ["EVAL", busy, "0"];
    let slow = slow.command(&eval);
    let reads = async {
        for _ in 0..8 {
            let read = backend.read(&["k".into()]).await;
            assert!(read.is_ok() || read.unwrap_err().kind() == ErrorKind::Timeout);
        }
    };
    let (done, ()) = join(slow, reads).await;
    assert_eq!(done.unwrap().bytes().unwrap().unwrap(), "done");
}

#[tokio::test]
async fn blocking_commands_have_a_connection_of_their_own() {
    let server = support::server();
    let backend = support::backend_with(support::long_timeouts(&server.url()));
    let redis = backend.client();
    let refused = redis.command(&["BLPOP", "list", "0"]).await.unwrap_err();
    assert!(refused.to_string().contains("`blocking`"), "{refused}");
    let own = redis.blocking(Duration::from_secs(20));
    let popped = own.command(&["BLPOP", "list", "0"]);
    let pushed = async {
        support::until("the blocked client", async || {
            let info = server.cli(&["INFO", "clients"]);
            info.contains("blocked_clients:1").then_some(())
        })
        .await;
        redis.rpush("list", &["a"]).await.unwrap();
    };
    let (popped, ()) = join(popped, pushed).await;
    assert_eq!(popped.unwrap().array().unwrap().len(), 2);
    assert!(own.command(&["SUBSCRIBE", "x"]).await.is_err());
    let mut messages = own.blocking(Duration::from_secs(20)).pub_sub();
    messages.subscribe(&["news"]).await.unwrap();
    backend.close().await;
    assert_eq!(messages.next().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(own.command(&["PING"]).await.unwrap_err().kind(), ErrorKind::Closed);
}

/// Large values have a connection of their own, so that small ones don't wait for them.
#[tokio::test]
async fn large_values_have_a_connection_of_their_own() {
    let server = RedisServer::start_with(&["--slowlog-log-slower-than", "0"]).unwrap();
    let backend = support::backend_with(support::long_timeouts(&server.url()));
    server.command(&["SET", "small", "v"]);
    server.command(&["SETRANGE", "large", "4000000", "."]);
    let read = async |key: &str| backend.read(&[key.into()]).await.unwrap()[0].clone().unwrap();
    // The log of commands names the connection after the arguments.
    let connection_of = |key: &str| {
        let log = server.cli(&["SLOWLOG", "GET", "100"]);
        let mut lines = log.lines().skip_while(|line| *line != key).skip(1);
        lines.next().unwrap_or_default().to_owned()
    };
    // Once it was read, it is known to be large; then the connection is opened.
    support::until("the second connection", async || {
        assert_eq!((read("large").await.len(), read("small").await.len()), (4_000_001, 1));
        (connection_of("large") != connection_of("small")).then_some(())
    })
    .await;
    // A value that has become small is read by the first one again.
    server.command(&["SET", "large", "v"]);
    read("large").await;
    read("large").await;
    assert_eq!(connection_of("large"), connection_of("small"));
}

/// An unknown command is repeated in the error, and with it the password.
#[tokio::test]
async fn password_is_not_repeated_in_errors() {
    let renamed = ["--rename-command", "AUTH", "", "--rename-command", "HELLO", ""];
    let server = RedisServer::start_with(&renamed).unwrap();
    let url = server.url().replace("://", "://app:sekret@");
    let error = support::backend(&url).ping().await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("AUTH") && !shown.contains("sekret"), "{shown}");
}

/// A refused transaction doesn't cost others their replies.
#[tokio::test]
async fn refused_transaction_is_an_error() {
    let server = support::server();
    let _ok = server.command(&["ACL", "SETUSER", "default", "-multi"]);
    let backend = support::backend(&server.url());
    let redis = backend.client();
    redis.set("k", "v").await.unwrap();
    let before = redis.command(&["CLIENT", "ID"]).await.unwrap().integer().unwrap();
    let error = redis.transaction(&[["GET", "k"]]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission);
    let after = redis.command(&["CLIENT", "ID"]).await.unwrap().integer().unwrap();
    assert_eq!(before, after, "the connection was closed");
}
