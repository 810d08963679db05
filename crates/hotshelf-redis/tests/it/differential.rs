//! Commands have the same replies, and the same effects, as through the redis crate.

use hotshelf_redis::Reply;
use hotshelf_testkit::RedisCluster;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use redis::Value;
use redis::aio::ConnectionLike;

use crate::support;

/// A command on one of a few keys, so that commands also meet values of other types.
fn commands() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let key = || prop_oneof![Just("a"), Just("b"), Just("c{x}")].prop_map(|key| key.into());
    let bytes = || {
        prop_oneof![
            any::<Vec<u8>>(),
            "-?[0-9]{1,19}".prop_map(String::into_bytes),
            (900_usize..3000).prop_map(|length| vec![b'x'; length]),
            Just(b"\r\n$-1\r\n".to_vec()),
        ]
    };
    let number = || (-3_i64..20).prop_map(|number| number.to_string().into_bytes());
    let score = || any::<f64>().prop_map(|score| score.to_string().into_bytes());
    prop_oneof![
        (key(), bytes()).prop_map(|(key, value)| vec![b"SET".into(), key, value]),
        key().prop_map(|key| vec![b"GET".into(), key]),
        (key(), key()).prop_map(|(a, b)| vec![b"MGET".into(), a, b"none".into(), b]),
        key().prop_map(|key| vec![b"INCR".into(), key]),
        key().prop_map(|key| vec![b"INCRBYFLOAT".into(), key, b"0.5".into()]),
        (key(), bytes()).prop_map(|(key, value)| vec![b"APPEND".into(), key, value]),
        (key(), bytes(), bytes()).prop_map(|(key, field, value)| vec![
            b"HSET".into(),
            key,
            field,
            value
        ]),
        key().prop_map(|key| vec![b"HGETALL".into(), key]),
        (key(), bytes()).prop_map(|(key, item)| vec![b"RPUSH".into(), key, item]),
        (key(), number(), number()).prop_map(|(key, from, to)| vec![
            b"LRANGE".into(),
            key,
            from,
            to
        ]),
        (key(), number()).prop_map(|(key, member)| vec![b"SADD".into(), key, member]),
        key().prop_map(|key| vec![b"SMEMBERS".into(), key]),
        (key(), score(), number()).prop_map(|(key, score, member)| vec![
            b"ZADD".into(),
            key,
            score,
            member
        ]),
        key().prop_map(|key| {
            vec![b"ZRANGE".into(), key, b"0".into(), b"-1".into(), b"WITHSCORES".into()]
        }),
        (key(), number()).prop_map(|(key, member)| vec![b"ZSCORE".into(), key, member]),
        key().prop_map(|key| vec![b"TYPE".into(), key]),
        key().prop_map(|key| vec![b"UNLINK".into(), key]),
        bytes().prop_map(|text| vec![b"ECHO".into(), text]),
        Just(vec![b"EVAL".into(), b"return {1, 'a', {}, false, {ok='fine'}}".into(), b"0".into()]),
        Just(vec![b"EVAL".into(), b"return redis.error_reply('MY own')".into(), b"0".into()]),
        Just(vec![b"NOSUCH".into(), b"command".into()]),
        Just(vec![b"GET".into()]),
    ]
}

/// Formats a reply of this client in the common notation.
fn ours(reply: Reply) -> String {
    let many = |items: Vec<Reply>| items.into_iter().map(ours).collect::<Vec<_>>().join(", ");
    match reply {
        Reply::Nil => "nil".into(),
        Reply::Integer(number) => format!("integer {number}"),
        Reply::Double(number) => format!("double {number:?}"),
        Reply::Boolean(yes) => format!("boolean {yes}"),
        Reply::Bytes(bytes) => format!("bytes {}", bytes.escape_ascii()),
        Reply::Text(text) => format!("text {text}"),
        Reply::Array(items) => format!("[{}]", many(items)),
        Reply::Map(pairs) => {
            let pairs =
                pairs.into_iter().map(|(key, value)| format!("{}: {}", ours(key), ours(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Reply::Error(error) => {
            let words = std::error::Error::source(&error).unwrap().to_string();
            format!("error {words}")
        }
        other => format!("{other:?}"),
    }
}

/// Formats a reply of the redis crate in the common notation.
fn theirs(value: Value) -> String {
    let many = |items: Vec<Value>| items.into_iter().map(theirs).collect::<Vec<_>>().join(", ");
    match value {
        Value::Nil => "nil".into(),
        Value::Int(number) => format!("integer {number}"),
        Value::Double(number) => format!("double {number:?}"),
        Value::Boolean(yes) => format!("boolean {yes}"),
        Value::BulkString(bytes) => format!("bytes {}", bytes.escape_ascii()),
        Value::Okay => "text OK".into(),
        Value::SimpleString(text) => format!("text {text}"),
        Value::Array(items) | Value::Set(items) => format!("[{}]", many(items)),
        Value::Map(pairs) => {
            let pairs =
                pairs.into_iter().map(|(key, value)| format!("{}: {}", theirs(key), theirs(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::ServerError(error) => {
            format!("error {} {}", error.code(), error.details().unwrap_or_default())
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn replies_match_the_redis_crate() {
    let server = support::server();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let backend = support::backend_with(support::long_timeouts(&format!("{}/1", server.url())));
    let peer = redis::Client::open(format!("{}/2?protocol=resp3", server.url())).unwrap();
    let peer = tokio.block_on(peer.get_multiplexed_async_connection()).unwrap();

    let mut runner = TestRunner::default();
    let batches = prop::collection::vec(commands(), 1..30);
    let outcome = runner.run(&batches, |commands| {
        server.command(&["FLUSHALL"]);
        let mut pipeline = redis::Pipeline::new();
        for command in &commands {
            let mut packed = redis::Cmd::new();
            packed.arg(command);
            pipeline.add_command(packed);
        }
        tokio.block_on(async {
            let replies = backend.client().pipeline(&commands).await.unwrap();
            let mut peer = peer.clone();
            let values = peer.send_packed_commands(&pipeline, 0, commands.len()).await.unwrap();
            let replies: Vec<String> = replies.into_iter().map(ours).collect();
            let values: Vec<String> = values.into_iter().map(theirs).collect();
            prop_assert_eq!(replies, values, "{:?}", commands);
            Ok(())
        })
    });
    outcome.unwrap();
}

/// Formats a reply of the redis crate's Cluster client.
fn theirs_or_error(answer: redis::RedisResult<Value>) -> String {
    match answer {
        Ok(value) => theirs(value),
        Err(error) => {
            let (code, detail) = (error.code().unwrap_or_default(), error.detail());
            format!("error {code} {}", detail.unwrap_or_default())
        }
    }
}

/// The redis crate splits commands with keys in several slots, so `MGET` is skipped.
#[test]
fn cluster_replies_match_the_redis_crate() {
    let cluster = RedisCluster::start().unwrap();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let backend = support::backend_with(support::long_timeouts(&cluster.url()));
    let seeds: Vec<_> = cluster.nodes().iter().map(hotshelf_testkit::RedisServer::url).collect();
    let client = redis::cluster::ClusterClientBuilder::new(seeds)
        .use_protocol(redis::ProtocolVersion::RESP3)
        .build()
        .unwrap();
    let peer = tokio.block_on(client.get_async_connection()).unwrap();

    let mut runner = TestRunner::new(Config { cases: 60, ..Config::default() });
    let of_one_key = commands().prop_filter("one key", |command| command[0] != b"MGET");
    let outcome = runner.run(&prop::collection::vec(of_one_key, 1..30), |commands| {
        tokio.block_on(async {
            cluster.command_all(&["FLUSHALL"]);
            let replies = backend.client().pipeline(&commands).await.unwrap();
            let replies: Vec<String> = replies.into_iter().map(ours).collect();
            cluster.command_all(&["FLUSHALL"]);
            let (mut peer, mut values) = (peer.clone(), Vec::new());
            for command in &commands {
                let mut packed = redis::Cmd::new();
                packed.arg(command);
                values.push(theirs_or_error(peer.req_packed_command(&packed).await));
            }
            prop_assert_eq!(replies, values, "{:?}", commands);
            Ok(())
        })
    });
    outcome.unwrap();
}
