//! Large values, which are stored under a temporary name first.

use bytes::Bytes;
use hotshelf_core::backend::{Acquire, Acquired, Fill, Seen, Stored, Token};
use hotshelf_core::{Backend, Ttl, WireKey};
use hotshelf_redis::{RedisBackend, RedisOptions};
use hotshelf_testkit::{RedisServer, Reply};

use crate::support;

const SIZE: usize = 500_000;

async fn granted(backend: &RedisBackend, key: &WireKey) -> Token {
    let token = Token::random(&*support::runtime());
    let lease = std::time::Duration::from_secs(5);
    let acquire = Acquire {
        key,
        token,
        lease,
        seen: Seen::Nothing,
        skip_foreign: false,
        replace_failure: false,
    };
    assert!(matches!(backend.acquire(acquire).await.unwrap(), Acquired::Granted(_)));
    token
}

async fn stored(backend: &RedisBackend, key: &WireKey, token: Token) -> Stored {
    let ttl = Ttl::new(std::time::Duration::from_secs(60)).unwrap();
    let value = Bytes::from(vec![b'x'; SIZE]);
    let fill =
        Fill { key: key.clone(), token, value, decoded_size: 0, ttl, hold: None, kept: None };
    backend.store(&[fill]).await.remove(0).unwrap()
}

fn keys(server: &RedisServer) -> usize {
    match server.command(&["DBSIZE"]) {
        Reply::Integer(keys) => usize::try_from(keys).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn calls_of(server: &RedisServer, command: &str) -> usize {
    let stats = server.cli(&["INFO", "commandstats"]);
    let line =
        stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn no_temporary_name_is_left() {
    let server = support::server();
    let backend = support::backend_with(support::long_timeouts(&server.url()));
    let key = WireKey::from("k");
    let token = granted(&backend, &key).await;
    assert_eq!(stored(&backend, &key, token).await, Stored::Stored);
    assert_eq!((keys(&server), calls_of(&server, "rename")), (1, 1));
    backend.invalidate(std::slice::from_ref(&key)).await.unwrap();

    // Revoked.
    let token = granted(&backend, &key).await;
    backend.invalidate(std::slice::from_ref(&key)).await.unwrap();
    assert_eq!(stored(&backend, &key, token).await, Stored::Refused);
    assert_eq!(keys(&server), 0);

    // The server forgot the script.
    let token = granted(&backend, &key).await;
    server.command(&["SCRIPT", "FLUSH"]);
    assert_eq!(stored(&backend, &key, token).await, Stored::Stored);
    assert_eq!((keys(&server), calls_of(&server, "rename")), (1, 2));
}

#[tokio::test]
async fn large_values_are_stored_where_rename_is_denied() {
    let server = support::server();
    server.command(&["ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-rename"]);
    let options = RedisOptions::from_url(&server.url()).unwrap().user("app").password("secret");
    let backend = support::backend_with(support::with_long_timeouts(options));
    // All of the batch in which the first one is refused, and later ones.
    let ttl = Ttl::new(std::time::Duration::from_secs(60)).unwrap();
    let mut fills = Vec::new();
    for key in ["a", "b", "c"].map(WireKey::from) {
        let token = granted(&backend, &key).await;
        let value = Bytes::from(vec![b'x'; SIZE]);
        fills.push(Fill { key, token, value, decoded_size: 0, ttl, hold: None, kept: None });
    }
    for stored in backend.store(&fills).await {
        assert_eq!(stored.unwrap(), Stored::Stored);
    }
    let key = WireKey::from("d");
    let token = granted(&backend, &key).await;
    assert_eq!(stored(&backend, &key, token).await, Stored::Stored);
    for key in ["a", "b", "c", "d"].map(WireKey::from) {
        let found = backend.read(std::slice::from_ref(&key)).await.unwrap().remove(0);
        assert_eq!(found.unwrap().len(), SIZE);
    }
    assert_eq!(calls_of(&server, "rename"), 0);
    // The temporary names of the first batch, until they expire.
    assert!(keys(&server) <= 4 + 3);
}

/// A value that was evicted before it was renamed is not stored, and the key can be loaded.
#[tokio::test]
async fn lost_value_frees_the_lease() {
    let server = support::server();
    let backend = support::backend_with(support::long_timeouts(&server.url()));
    let key = WireKey::from("k");
    let token = granted(&backend, &key).await;
    let script = include_str!("../../src/backend/scripts/store_large.lua");
    let lease = [b"t:".as_slice(), token.as_bytes()].concat();
    let redis = backend.client();
    let script = hotshelf_redis::Script::new(script);
    let names = ["k", "hs:l:{k}", "hs:l:{k}!0"];
    let ran = redis.run_script(&script, &names, &[&lease[..], b"1000"]).await.unwrap();
    assert_eq!(ran.integer().unwrap(), 0);
    assert_eq!(keys(&server), 0);
}
