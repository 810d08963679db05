//! Listening to channels.

use hotshelf_core::ErrorKind;
use hotshelf_redis::{Message, PubSub};
use hotshelf_testkit::{RedisCluster, RedisSentinels, RedisServer};

use crate::support;

/// Publishes until it is heard, and gives what was.
async fn heard(messages: &mut PubSub, publish: impl Fn()) -> Message {
    publish();
    messages.next().await.unwrap()
}

#[tokio::test]
async fn what_is_published_is_heard_in_its_order() {
    for arguments in [&[][..], &["--rename-command", "HELLO", ""]] {
        let server = RedisServer::start_with(arguments).unwrap();
        let backend = support::backend(&server.url());
        let mut messages = backend.client().pub_sub();
        messages.subscribe(&["news"]).await.unwrap();
        messages.subscribe_patterns(&["n*s"]).await.unwrap();
        support::until("both are subscribed to", async || {
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
        support::until("one is left", async || {
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
async fn a_lost_connection_is_told_and_made_anew() {
    let server = support::server();
    let backend = support::backend(&server.url());
    let mut messages = backend.client().pub_sub();
    messages.subscribe(&["news"]).await.unwrap();
    server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert_eq!(messages.next().await.unwrap_err().kind(), ErrorKind::Unavailable);
    let listening = async || (server.cli(&["PUBSUB", "NUMSUB", "news"]) == "news\n1").then_some(());
    let publish = async {
        support::until("it listens again", listening).await;
        server.command(&["PUBLISH", "news", "again"]);
    };
    let (message, ()) = futures_util::future::join(messages.next(), publish).await;
    assert_eq!(message.unwrap().payload, "again");
}

/// To the server, `UNSUBSCRIBE` without a name means all of them.
#[tokio::test]
async fn to_leave_no_channel_leaves_none() {
    let server = support::server();
    let mut messages = support::backend(&server.url()).client().pub_sub();
    messages.subscribe(&["news"]).await.unwrap();
    messages.unsubscribe::<&str>(&[]);
    messages.subscribe(&["more"]).await.unwrap();
    let message = heard(&mut messages, || drop(server.cli(&["PUBLISH", "news", "1"]))).await;
    assert_eq!(message.payload, "1");
}

/// The word on what was left is not the word on what is subscribed to next.
#[tokio::test]
async fn a_subscription_stands_once_it_is_said_to() {
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
async fn a_refusal_is_told() {
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
async fn every_topology_is_listened_to() {
    let cluster = RedisCluster::start().unwrap();
    let backend = support::backend_with(support::patient(&cluster.url()));
    let mut messages = backend.client().pub_sub();
    messages.subscribe(&["news"]).await.unwrap();
    let publish = || drop(cluster.node(0).command(&["PUBLISH", "news", "1"]));
    assert_eq!(heard(&mut messages, publish).await.payload, "1");

    let sentinels = RedisSentinels::start().unwrap();
    let backend = support::backend_with(support::patient(&sentinels.url()));
    let mut messages = backend.client().pub_sub();
    messages.subscribe(&["news"]).await.unwrap();
    let publish = || drop(sentinels.primary().command(&["PUBLISH", "news", "1"]));
    assert_eq!(heard(&mut messages, publish).await.payload, "1");
}
