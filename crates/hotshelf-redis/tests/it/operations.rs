//! The operations of the protocol on servers that refuse a part of them, and their round trips.

use std::time::Duration;

use futures_util::FutureExt;
use hotshelf_core::backend::{
    Acquire, Acquired, Fill, Pause, Result, Retrail, Seen, Stored, Take, Taken, Token,
};
use hotshelf_core::{Backend, ErrorKind, Remaining, Ttl, WireKey};
use hotshelf_redis::{RedisBackend, RedisOptions};
use hotshelf_testkit::{RedisCluster, RedisServer, Relay, Reply};

use crate::support;

const LEASE: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);
const PAUSE: Pause = Pause { with_entry: MINUTE, without_entry: MINUTE };

fn token() -> Token {
    Token::random(&*support::runtime())
}

fn keys(names: &[&str]) -> Vec<WireKey> {
    names.iter().map(|name| WireKey::from(*name)).collect()
}

fn acquires(keys: &[WireKey]) -> Vec<Acquire<'_>> {
    let acquire = |key| Acquire {
        key,
        token: token(),
        lease: LEASE,
        seen: Seen::Nothing,
        skip_foreign: true,
        replace_failure: false,
    };
    keys.iter().map(acquire).collect()
}

async fn acquire(backend: &RedisBackend, key: &WireKey) -> (Token, Result<Acquired>) {
    let [acquire] = &acquires(std::slice::from_ref(key))[..] else { unreachable!() };
    (acquire.token, backend.acquire(acquire.clone()).await)
}

async fn fill(backend: &RedisBackend, key: &WireKey, value: &'static str) {
    let take = Take { key: key.clone(), token: token(), lease: LEASE };
    backend.take(std::slice::from_ref(&take)).await.remove(0).unwrap();
    let (value, ttl) = (value.into(), Ttl::new(MINUTE).unwrap());
    let fill = Fill {
        key: key.clone(),
        token: take.token,
        value,
        decoded_size: 0,
        ttl,
        hold: None,
        kept: None,
    };
    assert_eq!(backend.store(&[fill]).await.remove(0).unwrap(), Stored::Stored);
}

fn retrail(seen: &'static str, trailer: &'static str) -> Retrail {
    Retrail { seen: seen.into(), trailer: trailer.into() }
}

/// A user with the permissions of SECURITY.md, and some more or fewer.
fn backend_of_user(server: &RedisServer, changes: &[&str]) -> RedisBackend {
    let page = include_str!("../../../../SECURITY.md");
    let documented = page.lines().find(|line| line.starts_with("ACL SETUSER")).unwrap();
    let words: Vec<_> = documented.split_whitespace().chain(changes.iter().copied()).collect();
    assert!(matches!(server.command(&words), Reply::Text(_)), "{words:?}");
    support::backend(&server.url().replace("redis://", "redis://app:password@"))
}

/// Runs every operation once on this key, and returns the results of those that scripts execute.
async fn run_all(backend: &RedisBackend, key: &str, tag: &str) -> Vec<Result<()>> {
    let (key, tags) = (WireKey::from(key), [WireKey::from(tag)]);
    let keep = Ttl::new(MINUTE).unwrap();
    let (token, acquired) = acquire(backend, &key).await;
    let take = Take { key: key.clone(), token, lease: LEASE };
    vec![
        acquired.map(drop),
        backend.acquire_many(&acquires(std::slice::from_ref(&key))).await.remove(0).map(drop),
        backend.renew(&key, token, LEASE).await.map(drop),
        backend.fail(&key, token, PAUSE).await,
        backend.release(&key, token).await,
        backend.take(&[take]).await.remove(0).map(drop),
        backend.retrail(&key, retrail("a", "b")).await.map(drop),
        backend.capture(&tags, keep).await.map(drop),
        backend.capture_with_age(&tags, keep).await.map(drop),
        backend.hold(std::slice::from_ref(&key), LEASE).await.map(drop),
    ]
}

#[tokio::test]
async fn documented_permissions_suffice() {
    let server = support::server();
    let backend = backend_of_user(&server, &[]);
    // Their leases are named in different ways.
    for key in ["app:v1:n:k", "app:v1:n:{a}b", "app:v1:n:a}b"] {
        for (number, result) in run_all(&backend, key, "hs:t:app:1").await.iter().enumerate() {
            assert!(result.is_ok(), "{key}, {number}: {result:?}");
        }
    }
    assert!(backend.clock(&"app:v1:n:k".into()).is_some());
}

/// Without scripts a hold removes the entry all the same, and says so.
#[tokio::test]
async fn hold_without_scripts_invalidates() {
    let server = support::server();
    let backend = backend_of_user(&server, &["-@scripting"]);
    for result in run_all(&backend, "app:k", "hs:t:app:1").await {
        let error = result.unwrap_err();
        assert!(
            [ErrorKind::Permission, ErrorKind::Unavailable].contains(&error.kind()),
            "{error:?}"
        );
    }
    server.command(&["SET", "app:k", "1"]);
    server.command(&["SET", "hs:l:{app:k}", "t:"]);
    let error = backend.hold(&keys(&["app:k", "app:x"]), LEASE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("was invalidated, but is not held"), "{error}");
    assert_eq!(server.command(&["DBSIZE"]), Reply::Integer(0));
}

/// A script that needs the time fails before it leaves anything behind.
#[tokio::test]
async fn denied_time_leaves_nothing_behind() {
    let server = support::server();
    let backend = backend_of_user(&server, &["-time"]);
    let results = run_all(&backend, "app:k", "hs:t:app:1").await;
    let failed: Vec<_> = (0..results.len()).filter(|&number| results[number].is_err()).collect();
    assert_eq!(failed, [0, 1, 5, 7, 8], "acquire, take and capture: {results:?}");
    assert_eq!(server.cli(&["KEYS", "*"]), "hs:l:{app:k}", "the hold");
    assert_eq!(backend.clock(&"app:k".into()), None);
}

/// A server without memory refuses marks and longer trailers; nothing old survives.
#[tokio::test]
async fn full_server_keeps_nothing_outdated() {
    let server = support::server();
    let backend = support::backend(&server.url());
    let key = WireKey::from("k");
    let full = |bytes| server.command(&["CONFIG", "SET", "maxmemory", bytes]);
    fill(&backend, &key, "value one").await;
    fill(&backend, &"other".into(), "1").await;
    let (failing, granted) = acquire(&backend, &"missing".into()).await;
    assert!(matches!(granted, Ok(Acquired::Granted(_))), "{granted:?}");
    full("1");
    let replaced = backend.retrail(&key, retrail(" one", " two")).await;
    assert_eq!(replaced.unwrap_err().kind(), ErrorKind::OutOfMemory);
    assert_eq!(backend.read(&keys(&["k"])).await.unwrap()[0].as_deref(), Some(&b"value one"[..]));
    backend.fail(&"missing".into(), failing, PAUSE).await.unwrap();
    assert_eq!(server.cli(&["KEYS", "hs:l:*"]), "", "the lease was released");
    let error = backend.hold(std::slice::from_ref(&key), LEASE).await.unwrap_err();
    assert!(error.to_string().contains("is not held"), "{error}");
    assert_eq!(server.cli(&["KEYS", "*"]), "other");
    full("0");
    assert_eq!(backend.hold(std::slice::from_ref(&key), LEASE).await.unwrap(), 0);
    assert!(matches!(acquire(&backend, &key).await.1, Ok(Acquired::Held(_))));
}

/// A value of another type is an error, and is not touched. A hold removes it.
#[tokio::test]
async fn other_types_are_errors() {
    let server = support::server();
    let backend = support::backend(&server.url());
    server.command(&["RPUSH", "k", "a"]);
    let key = WireKey::from("k");
    let error = backend.retrail(&key, retrail("a", "b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    assert_eq!(server.cli(&["TYPE", "k"]), "list");
    assert_eq!(backend.hold(std::slice::from_ref(&key), LEASE).await.unwrap(), 1);
    assert_eq!(server.cli(&["TYPE", "k"]), "none");
}

/// Older releases wrote the version of a tag without its time.
#[tokio::test]
async fn version_of_an_older_release_is_kept() {
    let server = support::server();
    let backend = support::backend(&server.url());
    let tags = keys(&["hs:t:old", "hs:t:odd"]);
    server.command(&["SET", "hs:t:old", "abcdef", "PX", "36000000"]);
    server.command(&["SET", "hs:t:odd", "abc", "PX", "36000000"]);
    let keep = Ttl::new(MINUTE).unwrap();
    let first = backend.capture_with_age(&tags, keep).await.unwrap();
    assert_eq!(first[0], (*b"abcdef", Duration::ZERO));
    assert_eq!(first[1].1, Duration::ZERO);
    let again = backend.capture(&tags, keep).await.unwrap();
    assert_eq!(again, [first[0].0, first[1].0]);
    let remaining = backend.remaining(&tags[0]).await.unwrap();
    assert!(matches!(remaining, Remaining::After(left) if left > 100 * MINUTE), "{remaining:?}");
    for tag in ["hs:t:old", "hs:t:odd"] {
        assert_eq!(server.cli(&["STRLEN", tag]), "14");
    }
}

/// The clock is read along with the handshake; over RESP2 along with the first lease.
#[tokio::test]
async fn clock_is_known_from_the_first_connection() {
    let server = support::server();
    let key = WireKey::from("k");
    let server_millis = || {
        let time = server.cli(&["TIME"]);
        let mut parts = time.lines().map(|part| part.parse::<u64>().unwrap());
        parts.next().unwrap() * 1_000 + parts.next().unwrap() / 1_000
    };
    let error = |backend: &RedisBackend| {
        let before = server_millis();
        let estimate = backend.clock(&key).unwrap();
        let after = server_millis();
        before.saturating_sub(estimate).max(estimate.saturating_sub(after))
    };
    let backend = support::backend_with(support::long_timeouts(&server.url()));
    assert_eq!(backend.clock(&key), None);
    backend.ping().await.unwrap();
    // A round trip on this machine; with room for a busy one.
    assert!(error(&backend) < 100, "{}", error(&backend));

    let url = format!("{}?protocol=2", server.url());
    let backend = support::backend_with(support::long_timeouts(&url));
    backend.ping().await.unwrap();
    assert_eq!(backend.clock(&key), None);
    acquire(&backend, &key).await.1.unwrap();
    assert!(error(&backend) < 100, "{}", error(&backend));

    let backend = support::backend_with(support::long_timeouts(&url));
    fill(&backend, &key, "1").await;
    assert!(error(&backend) < 100, "{}", error(&backend));
}

/// Each is one round trip, whatever the number of keys, up to 1,000.
#[tokio::test]
async fn batches_are_one_round_trip() {
    let server = support::server();
    let relay = Relay::to(server.port());
    let backend = support::backend_with(support::long_timeouts(&relay.url()));
    let all: Vec<_> = (0..1_000).map(|number| WireKey::from(format!("k{number}"))).collect();
    // Connecting and loading the scripts are not counted.
    let tags = keys(&["hs:t:1", "hs:t:2", "hs:t:3"]);
    run_all(&backend, "first", "hs:t:first").await;
    let _ = relay.take();

    let acquired = backend.acquire_many(&acquires(&all)).await;
    assert!(acquired.iter().all(|answer| matches!(answer, Ok(Acquired::Granted(_)))));
    assert_eq!(relay.take(), 1, "many leases");
    assert_eq!(backend.hold(&all, LEASE).await.unwrap(), 1_000);
    assert_eq!(relay.take(), 1, "many holds");
    let keep = Ttl::new(MINUTE).unwrap();
    backend.capture_with_age(&tags, keep).await.unwrap();
    assert_eq!(relay.take(), 1, "many tags");
    backend.fail(&all[0], token(), PAUSE).await.unwrap();
    assert_eq!(relay.take(), 1, "a failed load");
    assert!(!backend.retrail(&all[0], retrail("a", "b")).await.unwrap());
    assert_eq!(relay.take(), 1, "another trailer");
}

/// `CLIENT CACHING` precedes each of the scripts, also when their texts are sent.
async fn assert_batch_is_tracked(holder: &RedisBackend, waiter: &RedisBackend, flush: impl Fn()) {
    let all: Vec<_> = (0..20).map(|number| WireKey::from(format!("k{number}"))).collect();
    let held = acquires(&all);
    for answer in holder.acquire_many(&held).await {
        assert!(matches!(answer, Ok(Acquired::Granted(_))), "{answer:?}");
    }
    for answer in waiter.acquire_many(&acquires(&all)).await {
        assert!(matches!(answer, Ok(Acquired::Busy(_))), "{answer:?}");
    }
    flush();
    let watches: Vec<_> = all.iter().map(|key| waiter.watch(key).unwrap()).collect();
    for answer in waiter.acquire_many(&acquires(&all)).await {
        assert!(matches!(answer, Ok(Acquired::Busy(_))), "{answer:?}");
    }
    for (acquire, mut watch) in held.iter().zip(watches) {
        assert_eq!((&mut watch).now_or_never(), None, "nothing has changed yet");
        holder.fail(acquire.key, acquire.token, PAUSE).await.unwrap();
        support::until("a change", async || (&mut watch).now_or_never()).await;
    }
    for answer in waiter.acquire_many(&acquires(&all)).await {
        assert!(matches!(answer, Ok(Acquired::BackingOff(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn leases_of_a_batch_are_tracked() {
    let server = support::server();
    let [holder, waiter] =
        [(), ()].map(|()| support::backend_with(support::long_timeouts(&server.url())));
    assert_batch_is_tracked(&holder, &waiter, || {
        server.command(&["SCRIPT", "FLUSH"]);
    })
    .await;
}

#[tokio::test]
async fn leases_of_a_batch_are_tracked_on_each_node() {
    let cluster = RedisCluster::start().unwrap();
    let [holder, waiter] =
        [(), ()].map(|()| support::backend_with(support::long_timeouts(&cluster.url())));
    assert_batch_is_tracked(&holder, &waiter, || {
        cluster.command_all(&["SCRIPT", "FLUSH"]);
    })
    .await;
    for number in 0..20 {
        assert!(waiter.clock(&format!("k{number}").into()).is_some(), "each node has a clock");
    }
}

/// A hold that meets a lost connection is repeated, like an invalidation.
#[tokio::test]
async fn hold_is_repeated_on_the_next_connection() {
    let server = support::server();
    let backend = support::backend_with(support::long_timeouts(&server.url()));
    let key = WireKey::from("k");
    fill(&backend, &key, "1").await;
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    backend.hold(std::slice::from_ref(&key), LEASE).await.unwrap();
    assert_eq!(server.command(&["EXISTS", "k"]), Reply::Integer(0));
    let take = Take { key, token: token(), lease: LEASE };
    assert_eq!(backend.take(&[take]).await.remove(0).unwrap(), Taken::Held);
}

/// While its slot moves, a key is invalidated and not held; a trailer is replaced where the entry
/// is.
#[tokio::test]
async fn hold_reaches_migrating_slot() {
    let cluster = RedisCluster::start().unwrap();
    let options = RedisOptions::from_url(&cluster.url()).unwrap();
    let backend = support::backend_with(support::with_long_timeouts(options));
    let (key, slot) = (WireKey::from("{m}:entry"), hotshelf_wire::slot(b"m"));
    let read = async || backend.read(std::slice::from_ref(&key)).await.unwrap().remove(0);
    for moved_first in [false, true] {
        backend.invalidate(std::slice::from_ref(&key)).await.unwrap();
        fill(&backend, &key, "value one").await;
        let owner = cluster.owner(slot);
        let to = cluster.primaries().into_iter().find(|node| *node != owner).unwrap();
        cluster.migrate_begin(slot, to);
        if moved_first {
            cluster.migrate_keys(slot, to);
        }
        assert!(backend.retrail(&key, retrail(" one", " two")).await.unwrap());
        assert_eq!(read().await.unwrap(), "value two");
        let error = backend.hold(std::slice::from_ref(&key), LEASE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("is not held"), "{error}");
        assert_eq!(read().await, None);
        cluster.migrate_keys(slot, to);
        cluster.migrate_end(slot, to);
        assert_eq!(read().await, None);
        backend.hold(std::slice::from_ref(&key), LEASE).await.unwrap();
        assert!(matches!(acquire(&backend, &key).await.1, Ok(Acquired::Held(_))));
    }
}
