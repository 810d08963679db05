//! A server, a backend on it, and tokio as the runtime of both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hotshelf_core::{Backend, BoxFuture, ErrorKind, Moment, Runtime};
use hotshelf_redis::{RedisBackend, RedisOptions};
use hotshelf_testkit::RedisServer;

pub(crate) fn server() -> RedisServer {
    RedisServer::start().expect("redis-server is installed")
}

pub(crate) fn backend(url: &str) -> RedisBackend {
    backend_with(RedisOptions::from_url(url).unwrap())
}

pub(crate) fn backend_with(options: RedisOptions) -> RedisBackend {
    RedisBackend::new(&options, runtime()).unwrap()
}

pub(crate) fn runtime() -> Arc<dyn Runtime> {
    Arc::new(RealTime { start: now() })
}

/// Options that wait for long: for tests that are not about deadlines.
pub(crate) fn patient(url: &str) -> RedisOptions {
    with_patience(RedisOptions::from_url(url).unwrap())
}

pub(crate) fn with_patience(options: RedisOptions) -> RedisOptions {
    let patience = Duration::from_secs(20);
    options.connect_timeout(patience).read_timeout(patience).store_timeout(patience)
}

/// The URL of a server that is gone.
pub(crate) fn dead_url() -> String {
    let mut server = server();
    server.kill();
    server.url()
}

/// Makes sure that calls of a backend that is away cost next to nothing.
pub(crate) async fn fails_at_once(backend: &RedisBackend) {
    assert_eq!(backend.ping().await.unwrap_err().kind(), ErrorKind::Unavailable);
    let start = now();
    for _ in 0..100 {
        let read = backend.read(&["k".into()]).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
}

/// Asks until the connection has come back. The backend itself paces the attempts.
pub(crate) async fn ping_until_back(backend: &RedisBackend) {
    until("the server answers again", async || backend.ping().await.ok()).await;
}

/// Asks until the answer is as it must become, and gives up after half a minute.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        pause(Duration::from_millis(2)).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a real server lives in real time")]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[expect(clippy::disallowed_methods, reason = "a real server lives in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[derive(Debug)]
struct RealTime {
    start: Instant,
}

impl Runtime for RealTime {
    fn now(&self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the runtime")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        tokio::spawn(future);
    }

    fn random(&self) -> u64 {
        std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), self.start)
    }
}
