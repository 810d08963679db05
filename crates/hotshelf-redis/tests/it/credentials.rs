//! Users, passwords, and rotating tokens.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hotshelf_core::{Backend, BoxFuture, Error, ErrorKind};
use hotshelf_redis::{Credentials, CredentialsProvider, RedisOptions};
use hotshelf_testkit::RedisServer;

use crate::support;

/// Provides the current token, and counts the requests for it.
#[derive(Clone, Debug, Default)]
struct Tokens {
    user: Arc<Mutex<String>>,
    asked: Arc<AtomicU32>,
}

impl Tokens {
    fn of(user: &str) -> Self {
        let tokens = Self::default();
        tokens.rotate(user);
        tokens
    }

    fn rotate(&self, user: &str) {
        user.clone_into(&mut self.user.lock().unwrap());
    }
}

impl CredentialsProvider for Tokens {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, Error>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let user = self.user.lock().unwrap().clone();
        let short = Duration::from_millis(40);
        let token = format!("token of {user}");
        Box::pin(std::future::ready(Ok(Credentials::new(user, token).valid_for(short))))
    }
}

fn server_with_users(users: &[&str]) -> RedisServer {
    let server = support::server();
    for user in users {
        let token = format!(">token of {user}");
        server.command(&["ACL", "SETUSER", user, "on", &token, "~*", "&*", "+@all"]);
    }
    server
}

fn options(server: &RedisServer) -> RedisOptions {
    RedisOptions::from_url(&server.url()).unwrap()
}

#[tokio::test]
async fn rotated_token_drops_no_calls() {
    let server = server_with_users(&["monday", "tuesday"]);
    let tokens = Tokens::of("monday");
    let backend = support::backend_with(options(&server).credentials(tokens.clone()));
    let whoami = async || {
        let reply = backend.client().command(&["ACL", "WHOAMI"]).await;
        reply.expect("no call is dropped").bytes().unwrap().unwrap()
    };
    assert_eq!(whoami().await, "monday");
    tokens.rotate("tuesday");
    let tuesday = async || (whoami().await == "tuesday").then_some(());
    support::until("the new token to be used", tuesday).await;
    let connections = server.cli(&["CLIENT", "LIST"]);
    assert_eq!(connections.matches("user=tuesday").count(), 1, "{connections}");
    assert!(!connections.contains("user=monday"), "on the same connection: {connections}");
}

#[tokio::test]
async fn refused_token_keeps_the_connection() {
    let server = server_with_users(&["monday"]);
    let tokens = Tokens::of("monday");
    let backend = support::backend_with(options(&server).credentials(tokens.clone()));
    backend.ping().await.unwrap();
    tokens.rotate("unknown");
    let asked = tokens.asked.load(Ordering::Relaxed);
    let refused = async || (tokens.asked.load(Ordering::Relaxed) > asked).then_some(());
    support::until("the provider to be asked again", refused).await;
    for _ in 0..20 {
        backend.ping().await.unwrap();
    }
}

/// Nothing is retried while a caller waits: the credentials would be refused again.
#[tokio::test]
async fn wrong_credentials_fail_at_once() {
    let server = server_with_users(&[]);
    let tokens = Tokens::of("unknown");
    let backend = support::backend_with(options(&server).credentials(tokens.clone()));
    let start = support::now();
    for _ in 0..200 {
        let error = backend.ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(!format!("{error} {error:?}").contains("token of"), "{error:?}");
    }
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert!(tokens.asked.load(Ordering::Relaxed) < 10, "attempts are paced");
}

/// A provider that never answers.
#[derive(Debug)]
struct Unresponsive;

impl CredentialsProvider for Unresponsive {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, Error>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn unresponsive_provider_times_out() {
    let server = support::server();
    let backend = support::backend_with(options(&server).credentials(Unresponsive));
    let start = support::now();
    assert_eq!(backend.ping().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}
