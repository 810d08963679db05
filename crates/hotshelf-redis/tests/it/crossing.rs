//! Replies on a shared connection are never mixed up, even when calls are cancelled.

use std::time::Duration;

use futures_util::future::{Either, join, join_all, select};
use hotshelf_core::Backend;
use hotshelf_redis::{RedisBackend, RedisOptions};

use crate::support;

const KEYS: usize = 50;

/// Writes values that contain their keys, small ones and some larger than one read.
async fn fill(backend: &RedisBackend) {
    for key in 0..KEYS {
        let value = value(key);
        backend.client().command(&["SET", &format!("k{key}"), &value]).await.unwrap();
    }
}

fn value(key: usize) -> String {
    let length = if key.is_multiple_of(10) { 300_000 } else { key };
    format!("{key}:{}", "x".repeat(length))
}

async fn read(backend: &RedisBackend, key: usize) {
    let read = backend.read(&[format!("k{key}").as_str().into()]).await.unwrap();
    assert_eq!(read[0].as_deref(), Some(value(key).as_bytes()), "k{key}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_calls_never_mix_replies() {
    let server = support::server();
    let timeout = Duration::from_secs(20);
    let options = RedisOptions::from_url(&server.url()).unwrap();
    let options = options.read_timeout(timeout).store_timeout(timeout);
    let backend = std::sync::Arc::new(support::backend_with(options));
    fill(&backend).await;
    let callers = (0..64).map(|caller| {
        let backend = std::sync::Arc::clone(&backend);
        tokio::spawn(async move {
            for call in 0..40 {
                let key = (caller * 7 + call * 3) % KEYS;
                let mut yields = (caller + call) % 9;
                let cancelled = std::pin::pin!(async {
                    while yields < 5 {
                        yields += 1;
                        tokio::task::yield_now().await;
                    }
                    if yields > 5 {
                        std::future::pending::<()>().await;
                    }
                });
                match select(std::pin::pin!(read(&backend, key)), cancelled).await {
                    Either::Left(_) | Either::Right(_) => {}
                }
            }
        })
    });
    // Commands that would mix up all replies.
    let raw = async {
        for round in 0..40 {
            let commands: [&[&str]; 6] = [
                &["SUBSCRIBE", "x"],
                &["client", "reply", "off"],
                &["MULTI"],
                &["RESET"],
                &["PING", "text"],
                &["EVAL", "return redis.call('PING')", "0"],
            ];
            let said = backend.client().command(commands[round % commands.len()]).await;
            assert_eq!(said.is_ok(), round % commands.len() >= 4, "{said:?}");
            tokio::task::yield_now().await;
        }
    };
    let (callers, ()) = join(join_all(callers), raw).await;
    for caller in callers {
        caller.unwrap();
    }
    for key in 0..KEYS {
        read(&backend, key).await;
    }
}
