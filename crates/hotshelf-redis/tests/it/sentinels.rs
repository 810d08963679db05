//! A primary with replicas, and the Sentinels that replace it.

use std::time::Duration;

use hotshelf_core::{Backend, ErrorKind};
use hotshelf_redis::RedisBackend;
use hotshelf_testkit::{Passwords, RedisSentinels};

use crate::load::under_load;
use crate::support;

const STORE: Duration = Duration::from_millis(250);

async fn backend(sentinels: &RedisSentinels) -> RedisBackend {
    let backend = support::backend(&sentinels.url());
    support::until("the primary to reply", async || backend.ping().await.ok()).await;
    backend
}

#[tokio::test]
async fn sentinels_have_their_own_password() {
    let passwords = Passwords { server: Some("s3cret"), sentinel: Some("s3ntinel") };
    let sentinels = RedisSentinels::start_with(passwords).unwrap();
    let backend = backend(&sentinels).await;
    backend.client().set("k", "v").await.unwrap();
    assert_eq!(backend.client().get("k").await.unwrap().unwrap(), "v");
    let shown = format!("{backend:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("s3ntinel"), "{shown}");
}

#[tokio::test]
async fn unreachable_sentinel_is_skipped() {
    let mut sentinels = RedisSentinels::start().unwrap();
    sentinels.kill_sentinel(0);
    let backend = support::backend_with(support::long_timeouts(&sentinels.url()));
    backend.ping().await.unwrap();
}

#[tokio::test]
async fn unknown_service_is_an_error() {
    let sentinels = RedisSentinels::start().unwrap();
    let backend = support::backend(&sentinels.url().replace("/main", "/other"));
    let error = backend.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("service"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failover_is_followed_under_load() {
    let sentinels = RedisSentinels::start().unwrap();
    let backend = backend(&sentinels).await;
    let before = sentinels.primary_index();
    let outcome = under_load(backend, STORE, move || {
        assert_ne!(sentinels.failover(), before);
        sentinels
    });
    assert!(outcome.await.answered > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_primary_is_replaced_under_load() {
    let sentinels = RedisSentinels::start().unwrap();
    let backend = backend(&sentinels).await;
    let outcome = under_load(backend, STORE, move || {
        let mut sentinels = sentinels;
        sentinels.kill_primary();
        sentinels.wait_for_new_primary();
        sentinels
    });
    let outcome = outcome.await;
    assert!(outcome.failed > 0 && outcome.answered > 100, "{outcome:?}");
}

/// A primary that was frozen and replaced still acts as one when it resumes. It is not
/// used any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_primary_is_replaced_under_load() {
    let sentinels = RedisSentinels::start().unwrap();
    let backend = backend(&sentinels).await;
    let outcome = under_load(backend, STORE, move || {
        let frozen = sentinels.pause_primary();
        sentinels.wait_for_new_primary();
        sentinels.resume(frozen);
        sentinels
    });
    let outcome = outcome.await;
    assert!(outcome.failed > 0 && outcome.answered > 100, "{outcome:?}");
}

/// A primary that silently became a replica still replies, but refuses writes: it is abandoned
/// after the first refusal.
#[tokio::test]
async fn demoted_primary_is_abandoned() {
    let sentinels = RedisSentinels::start().unwrap();
    let backend = backend(&sentinels).await;
    let demoted = sentinels.primary_index();
    let other = &sentinels.servers()[(demoted + 1) % 3];
    let port = other.port().to_string();
    sentinels.servers()[demoted].command(&["REPLICAOF", "127.0.0.1", &port]);
    let refused = backend.client().set("k", "v").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnly);
    let mut refusals = 0;
    let written = async || {
        let kind = backend.client().set("k", "v").await.map_err(|error| error.kind());
        refusals += u32::from(kind == Err(ErrorKind::ReadOnly));
        kind.ok()
    };
    support::until("a primary that accepts writes", written).await;
    assert!(refusals < 3, "{refusals} more writes went to the demoted primary");
}

/// A Sentinel that was left behind is outvoted, and a working connection outlives its claims.
#[tokio::test]
async fn outdated_sentinel_is_outvoted() {
    let sentinels = RedisSentinels::start().unwrap();
    let replica = (sentinels.primary_index() + 1) % 3;
    let outdated = [
        RedisSentinels::outdated(support::unreachable_port()).unwrap(),
        RedisSentinels::outdated(sentinels.servers()[replica].port()).unwrap(),
    ];
    for outdated in outdated {
        let url = sentinels.url().replace("://", &format!("://{},", outdated.address()));
        let backend = support::backend_with(support::long_timeouts(&url));
        let redis = backend.client();
        redis.set("k", "v").await.unwrap();
        let before = redis.command(&["CLIENT", "ID"]).await.unwrap().integer().unwrap();
        support::pause(Duration::from_millis(1_500)).await;
        let after = redis.command(&["CLIENT", "ID"]).await.unwrap().integer().unwrap();
        assert_eq!(before, after, "a working connection was closed");
    }
}

#[tokio::test]
async fn subscriptions_follow_the_primary() {
    let mut sentinels = RedisSentinels::start().unwrap();
    let backend = backend(&sentinels).await;
    let mut messages = backend.client().pub_sub();
    messages.subscribe(&["news"]).await.unwrap();
    // Its host vanishes: nothing closes the connection.
    let paused = sentinels.pause_primary();
    let lost = messages.next().await.unwrap_err();
    assert!(lost.is_temporary(), "{lost}");
    sentinels.wait_for_new_primary();
    support::until("the subscription", async || messages.subscribe(&["more"]).await.ok()).await;
    support::ping_until_back(&backend).await;
    support::until("a message", async || backend.client().publish("news", "1").await.ok()).await;
    assert_eq!(messages.next().await.unwrap().payload, "1");
    sentinels.kill(paused);
}
