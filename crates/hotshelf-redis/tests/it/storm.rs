//! Many clients that lose their server at the same time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hotshelf_core::Backend;
use hotshelf_core::sync::Mutex;
use hotshelf_redis::RedisBackend;
use hotshelf_testkit::RedisServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support;

const CLIENTS: usize = 200;

/// Closes all connections to the port of a server that is down, and notes when they came.
struct Closing {
    came: Arc<Mutex<Vec<Instant>>>,
    task: JoinHandle<()>,
}

impl Closing {
    async fn in_place_of(server: &RedisServer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", server.port())).await.unwrap();
        let came = Arc::<Mutex<Vec<Instant>>>::default();
        let noted = Arc::clone(&came);
        let task = tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                noted.lock().push(support::now());
            }
        });
        Self { came, task }
    }

    /// Returns when connections came within a second, in milliseconds since its beginning.
    async fn for_a_second(&self) -> Vec<u128> {
        self.came.lock().clear();
        let began = support::now();
        support::pause(Duration::from_secs(1)).await;
        let came = self.came.lock();
        came.iter().map(|came| came.saturating_duration_since(began).as_millis()).collect()
    }

    async fn end(self) {
        self.task.abort();
        let _cancelled = self.task.await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn returning_server_is_not_stormed() {
    let mut server = support::server();
    let clients: Vec<_> = (0..CLIENTS).map(|_| support::backend(&server.url())).collect();
    join_all(clients.iter().map(support::ping_until_back)).await;
    server.kill();
    let closing = Closing::in_place_of(&server).await;
    let first = closing.for_a_second().await;
    let came = closing.for_a_second().await;
    closing.end().await;
    server.restart().unwrap();
    let back = support::now();
    let times = join_all(clients.iter().map(|client| works_again(client, back))).await;
    let (all, last) = (first.len() + came.len(), times.iter().max().unwrap());
    // The shortest pauses allow eight attempts in two seconds. To a server that closes connections,
    // each attempt is up to three.
    assert!(all <= 3 * 8 * CLIENTS, "{all} connections");
    assert!(slots(&came) >= 8, "bursts: {came:?}");
    assert!(*last < Duration::from_millis(1_500), "{last:?}");
}

async fn works_again(client: &RedisBackend, since: Instant) -> Duration {
    while client.ping().await.is_err() {
        support::pause(Duration::from_millis(10)).await;
    }
    since.elapsed()
}

/// Returns how many tenths of a second had connections.
fn slots(came: &[u128]) -> usize {
    (0..10).filter(|slot| came.iter().any(|came| came / 100 == *slot)).count()
}
