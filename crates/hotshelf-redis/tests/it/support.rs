//! Helpers: servers, backends, and tokio as their runtime.

use std::path::Path;
use std::process::Command;
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

/// Options with long timeouts: for tests that are not about deadlines.
pub(crate) fn long_timeouts(url: &str) -> RedisOptions {
    with_long_timeouts(RedisOptions::from_url(url).unwrap())
}

pub(crate) fn with_long_timeouts(options: RedisOptions) -> RedisOptions {
    let timeout = Duration::from_secs(20);
    options.connect_timeout(timeout).read_timeout(timeout).store_timeout(timeout)
}

/// Returns the port of a server that was killed.
pub(crate) fn unreachable_port() -> u16 {
    let mut server = server();
    server.kill();
    server.port()
}

/// Returns the URL of a server that was killed.
pub(crate) fn unreachable_url() -> String {
    let mut server = server();
    server.kill();
    server.url()
}

/// Asserts that calls fail at once while the server is down.
pub(crate) async fn assert_fails_at_once(backend: &RedisBackend) {
    assert_eq!(backend.ping().await.unwrap_err().kind(), ErrorKind::Unavailable);
    let start = now();
    for _ in 0..100 {
        let read = backend.read(&["k".into()]).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
}

/// Pings until the connection is back. The backend itself paces the attempts.
pub(crate) async fn ping_until_back(backend: &RedisBackend) {
    until("the server to reply again", async || backend.ping().await.ok()).await;
}

/// Polls until there is a result, for at most 30 seconds.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "timed out waiting for {what}");
        pause(Duration::from_millis(2)).await;
    }
}

/// Runs a test again, in a process of its own that `start` prepares. Returns `true` in that
/// process, and `false` in the first one after the test has passed there.
#[expect(clippy::disallowed_methods, reason = "tests read the environment")]
#[expect(clippy::print_stderr, reason = "the output of a test")]
pub(crate) fn is_alone(test: &str, start: impl FnOnce(&Path) -> Command) -> bool {
    const ALONE: &str = "HOTSHELF_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut command = start(&std::env::current_exe().unwrap());
    let output = command.args([test, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let [text, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    eprint!("{errors}");
    assert!(text.contains("1 passed"), "{text}");
    false
}

#[expect(clippy::disallowed_methods, reason = "real servers run in real time")]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[expect(clippy::disallowed_methods, reason = "real servers run in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A runtime whose sleeps of seconds take a few milliseconds: for what happens now and then.
pub(crate) fn impatient_runtime() -> Arc<dyn Runtime> {
    Arc::new(Impatient(runtime()))
}

#[derive(Debug)]
struct Impatient(Arc<dyn Runtime>);

impl Runtime for Impatient {
    fn now(&self) -> Moment {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let is_long = duration > Duration::from_secs(1);
        self.0.sleep(if is_long { Duration::from_millis(20) } else { duration })
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.0.spawn(future);
    }

    fn random(&self) -> u64 {
        self.0.random()
    }
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
