//! Subscriptions to channels.

use hotshelf_core::{Backend, ErrorKind};
use hotshelf_redis::{Message, PubSub};
use hotshelf_testkit::{RedisCluster, RedisSentinels, RedisServer};

use crate::support;

/// Publishes a message and returns the one that is received.
async fn receive(messages: &mut PubSub, publish: impl Fn()) -> Message {
    publish();
    messages.next().await.unwrap()
}

#[tokio::test]
async fn messages_arrive_in_order() {
    for arguments in [&[][..], &["--rename-command", "HELLO", ""]] {
        let server = RedisServer::start_with(arguments).unwrap();
        let backend = support::backend(&server.url());
        let mut messages = backend.client().pub_sub();
        messages.subscribe(&["news"]).await.unwrap();
        messages.subscribe_patterns(&["n*s"]).await.unwrap();
        support::until("both subscriptions", async || {
            (server.cli(&["PUBSUB", "NUMPAT"]) == "1").then_some(())
        })
        .await;
        backend.client().publish("news", b"\r\n\0").await.unwrap();
        let message = messages.next().await.unwrap();
        assert_eq!((&message.channel[..], &message.payload[..]), (&b"news"[..], &b"\r\n\0"[..]));
        assert_eq!(message.pattern, None);
        let message = messages.next().await.unwrap();
        assert_eq!(message.pattern.as_deref(), Some(&b"n*s"[..]));

        messages.unsubscribe(&["n*s"]);
        support::until("one subscription to be left", async || {
            (server.cli(&["PUBSUB", "NUMPAT"]) == "0").then_some(())
        })
        .await;
        for number in 0..100 {
            backend.client().publish("news", number.to_string()).await.unwrap();
        }
        for number in 0..100 {
            let message = messages.next().await.unwrap();
            assert_eq!(message.payload, number.to_string());
        }
    }
}

#[tokio::test]
async fn lost_connection_is_reported_and_reopened() {
    let server = support::server();
    let backend = support::backend(&server.url());
    let mut messages = backend.client().pub_sub();
    messages.subscribe(&["news"]).await.unwrap();
    server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert_eq!(messages.next().await.unwrap_err().kind(), ErrorKind::Unavailable);
    let listening = async || (server.cli(&["PUBSUB", "NUMSUB", "news"]) == "news\n1").then_some(());
    let publish = async {
        support::until("the new subscription", listening).await;
        server.command(&["PUBLISH", "news", "again"]);
    };
    let (message, ()) = futures_util::future::join(messages.next(), publish).await;
    assert_eq!(message.unwrap().payload, "again");
}

/// To the server, `UNSUBSCRIBE` without names means all channels.
#[tokio::test]
async fn unsubscribing_no_channel_does_nothing() {
    let server = support::server();
    let mut messages = support::backend(&server.url()).client().pub_sub();
    messages.subscribe(&["news"]).await.unwrap();
    messages.unsubscribe::<&str>(&[]);
    messages.subscribe(&["more"]).await.unwrap();
    let message = receive(&mut messages, || drop(server.cli(&["PUBLISH", "news", "1"]))).await;
    assert_eq!(message.payload, "1");
}

/// The confirmation of an unsubscription is not that of the next subscription.
#[tokio::test]
async fn confirmed_subscription_is_active() {
    let server = support::server();
    let mut messages = support::backend(&server.url()).client().pub_sub();
    messages.subscribe(&["0"]).await.unwrap();
    for round in 1..200 {
        messages.unsubscribe(&[(round - 1).to_string()]);
        messages.subscribe(&[round.to_string()]).await.unwrap();
        assert_eq!(server.cli(&["PUBLISH", &round.to_string(), "1"]), "1", "{round}");
    }
}

#[tokio::test]
async fn refused_subscription_is_an_error() {
    let server = support::server();
    let nothing = support::backend(&server.url()).client().pub_sub().next().await;
    assert_eq!(nothing.unwrap_err().kind(), ErrorKind::Configuration);
    server.command(&["ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "resetchannels"]);
    let url = server.url().replace("redis://", "redis://app:secret@");
    let mut messages = support::backend(&url).client().pub_sub();
    let refused = messages.subscribe(&["news"]).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Permission);
}

#[tokio::test]
async fn empty_subscription_changes_nothing() {
    let server = RedisServer::start().unwrap();
    let backend = support::backend(&server.url());
    let mut messages = backend.client().pub_sub();
    messages.subscribe(&["news"]).await.unwrap();
    messages.subscribe::<&str>(&[]).await.unwrap();
    messages.subscribe_patterns::<&str>(&[]).await.unwrap();
    let publish = || drop(server.command(&["PUBLISH", "news", "1"]));
    assert_eq!(receive(&mut messages, publish).await.payload, "1");
}

#[tokio::test]
async fn closed_backend_ends_subscriptions() {
    let server = RedisServer::start().unwrap();
    let backend = support::backend(&server.url());
    let (mut open, mut late) = (backend.client().pub_sub(), backend.client().pub_sub());
    open.subscribe(&["news"]).await.unwrap();
    backend.close().await;
    assert!(open.next().await.is_err());
    assert_eq!(open.next().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(late.subscribe(&["news"]).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn pub_sub_works_on_every_topology() {
    let cluster = RedisCluster::start().unwrap();
    let backend = support::backend_with(support::long_timeouts(&cluster.url()));
    let mut messages = backend.client().pub_sub();
    messages.subscribe(&["news"]).await.unwrap();
    let publish = || drop(cluster.node(0).command(&["PUBLISH", "news", "1"]));
    assert_eq!(receive(&mut messages, publish).await.payload, "1");

    let sentinels = RedisSentinels::start().unwrap();
    let backend = support::backend_with(support::long_timeouts(&sentinels.url()));
    let mut messages = backend.client().pub_sub();
    messages.subscribe(&["news"]).await.unwrap();
    let publish = || drop(sentinels.primary().command(&["PUBLISH", "news", "1"]));
    assert_eq!(receive(&mut messages, publish).await.payload, "1");
}
