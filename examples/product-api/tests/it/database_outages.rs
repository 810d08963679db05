//! The database fails under load, and comes back. The time of the cache is that of the test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotshelf::Store;
use hotshelf::testing::TestStore;
use product_api::Db;
use serde_json::{Value, json};
use sqlx::AnyPool;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::support::{Answer, TestApp, product};

const CLIENTS: usize = 8;
const KNOWN: [&str; 4] = ["/products", "/products?category=books", "/products/1", "/products/2"];
const UNKNOWN: [&str; 2] = ["/products/none", "/products?page=7"];

const SECOND: Duration = Duration::from_secs(1);
/// After it, all values are stale, and pages for so long that they are loaded before they are served.
const LONG: Duration = Duration::from_secs(1_000);
/// The default of `ERROR_THROTTLE`.
const THROTTLE: Duration = Duration::from_secs(30);

/// The service on a database file whose table a test takes away.
struct Fixture {
    test: TestStore,
    app: Arc<TestApp>,
    file: AnyPool,
    _directory: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("products.db").display());
        let db = Db::open(&url).await.unwrap();
        let test = TestStore::new();
        let app = Arc::new(TestApp::configured(test.store().clone(), db, &[]));
        let file = AnyPool::connect(&url).await.unwrap();
        Self { test, app, file, _directory: directory }
    }

    /// Makes all queries fail.
    async fn kill_database(&self) {
        sqlx::query("ALTER TABLE products RENAME TO gone").execute(&self.file).await.unwrap();
    }

    async fn revive_database(&self) {
        sqlx::query("ALTER TABLE gone RENAME TO products").execute(&self.file).await.unwrap();
    }

    /// Starts clients, each of which asks for all of these ten times.
    fn clients<const N: usize>(&self, paths: [&'static str; N]) -> Clients {
        let client = |number| {
            let app = Arc::clone(&self.app);
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for request in 0..10 * N {
                    answers.push(app.get(paths[(number + request) % N]).await);
                    // A hit never waits: let others run.
                    tokio::task::yield_now().await;
                }
                answers
            })
        };
        Clients((0..CLIENTS).map(client).collect())
    }
}

struct Clients(Vec<JoinHandle<Vec<Answer>>>);

impl Clients {
    async fn answers(self) -> Vec<Answer> {
        let mut answers = Vec::new();
        for client in self.0 {
            answers.extend(client.await.unwrap());
        }
        answers
    }
}

fn is_stale(answer: &Answer) -> bool {
    answer.status == 200 && answer.cache_status.contains("detail=stale")
}

#[tokio::test(flavor = "multi_thread")]
async fn known_resources_survive_the_database() {
    let fixture = Fixture::new().await;
    let Fixture { test, app, .. } = &fixture;
    for path in KNOWN {
        app.get(path).await.ok();
    }
    // It fails while clients are served, and the values become stale meanwhile.
    let clients = fixture.clients(KNOWN);
    fixture.kill_database().await;
    test.advance(LONG);
    for answer in clients.answers().await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for _ in 0..3 {
        for answer in fixture.clients(KNOWN).answers().await {
            assert!(is_stale(&answer), "{answer:?}");
            let is_old = answer.age.parse::<u64>().is_ok_and(|age| age >= LONG.as_secs());
            assert!(is_old || !is_stale(&answer), "{answer:?}");
        }
        let asked = app.counter("load_errors").await;
        assert!(asked <= KNOWN.len() as u64, "asked {asked} times");
    }
    for answer in fixture.clients(UNKNOWN).answers().await {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.body, json!({"detail": "Database unavailable"}));
    }

    let asked = app.counter("load_errors").await;
    test.advance(THROTTLE);
    for answer in fixture.clients(KNOWN).answers().await {
        assert!(is_stale(&answer), "{answer:?}");
    }
    assert_eq!(app.counter("load_errors").await - asked, KNOWN.len() as u64);

    fixture.revive_database().await;
    assert!(is_stale(&app.get(KNOWN[0]).await), "it is not asked before its time");
    test.advance(THROTTLE);
    for answer in fixture.clients(KNOWN).answers().await {
        assert!(answer.status == 200 && !is_stale(&answer), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_served_at_once_while_their_refresh_fails() {
    let fixture = Fixture::new().await;
    let Fixture { test, app, .. } = &fixture;
    let pages = [KNOWN[0], KNOWN[1]];
    for path in pages {
        app.get(path).await.ok();
    }
    fixture.kill_database().await;
    test.advance(Duration::from_secs(200));
    for _ in 0..3 {
        for answer in fixture.clients(pages).answers().await {
            assert_eq!(answer.cache_status, "hotshelf; hit; detail=stale");
            assert_eq!(answer.age, "200");
        }
    }
    assert_eq!((app.counter("refreshes").await, app.counter("load_errors").await), (2, 2));
}

#[tokio::test]
async fn header_fields_follow_an_outage() {
    let fixture = Fixture::new().await;
    let Fixture { test, app, .. } = &fixture;
    let get = async || {
        let answer = app.get("/products/1").await;
        (answer.status, answer.cache_status, answer.age)
    };
    let expect = |status: &str, age: &str| (200, format!("hotshelf; {status}"), age.to_owned());
    assert_eq!(get().await, expect("fwd=uri-miss", ""));
    assert_eq!(get().await, expect("hit", "0"));
    test.advance(900 * SECOND);
    fixture.kill_database().await;
    assert_eq!(get().await, expect("fwd=stale; detail=stale", "900"));
    assert_eq!(get().await, expect("hit; detail=stale", "900"));
    test.advance(THROTTLE);
    assert_eq!(get().await, expect("fwd=stale; detail=stale", "930"));
    fixture.revive_database().await;
    test.advance(THROTTLE);
    assert_eq!(get().await, expect("fwd=stale", ""));
    assert_eq!(get().await, expect("hit", "0"));
    app.put("/products/1/stock?in_stock=false").await.ok();
    assert_eq!(get().await, expect("fwd=uri-miss", ""));

    fixture.kill_database().await;
    test.advance(4_501 * SECOND);
    assert_eq!(get().await.0, 503, "the window has ended");
}

#[tokio::test]
async fn row_that_cannot_be_read_is_an_error() {
    let Fixture { test, app, file, .. } = &Fixture::new().await;
    app.get("/products/1").await.ok();
    let unreadable = sqlx::query("UPDATE products SET created_at = 'soon' WHERE id = '1'");
    unreadable.execute(file).await.unwrap();
    test.advance(LONG);
    let failed = app.get("/products/1").await;
    assert_eq!(failed.status, 500, "{failed:?}");
    assert_eq!(failed.body, json!({"detail": "Internal Server Error"}));
}

#[tokio::test]
async fn unknown_resources_are_not_asked_for_again_at_once() {
    let fixture = Fixture::new().await;
    fixture.kill_database().await;
    for path in UNKNOWN {
        let failed = fixture.app.get(path).await;
        assert_eq!((failed.status, failed.retry_after.as_str()), (503, ""), "{failed:?}");
        let backing_off = fixture.app.get(path).await;
        assert_eq!((backing_off.status, backing_off.retry_after.as_str()), (503, "1"));
        assert_eq!(backing_off.body, json!({"detail": "Database unavailable"}));
    }
    assert_eq!(fixture.app.counter("load_errors").await, 2);
    fixture.revive_database().await;
    fixture.test.advance(SECOND);
    assert_eq!(fixture.app.get(UNKNOWN[1]).await.status, 200);
}

/// A product whose name is the number of the last write to it.
fn numbered(number: u64) -> Value {
    let mut product = product("numbered", "numbers");
    product["name"] = number.to_string().into();
    json!([product])
}

/// Of a product, or of the only product of a page.
fn number_of(body: &Value) -> u64 {
    let item = body.get("items").map_or(body, |items| &items[0]);
    item["name"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn written_value_is_never_older_than_its_write() {
    const WRITES: u64 = 60;
    let fixture = Fixture::new().await;
    let (test, app) = (&fixture.test, &fixture.app);
    app.post_batch(numbered(0)).await.ok();
    let written = Arc::new(AtomicU64::new(0));
    let reader = |path: &'static str| {
        let (app, written) = (Arc::clone(app), Arc::clone(&written));
        tokio::spawn(async move {
            let (mut stale, mut failed) = (0, 0);
            loop {
                let before = written.load(Ordering::SeqCst);
                let answer = app.get(path).await;
                match answer.status {
                    200 => {
                        let seen = number_of(&answer.body);
                        assert!(seen >= before, "{seen} after the write of {before}: {answer:?}");
                        stale += u64::from(is_stale(&answer));
                    }
                    status => {
                        assert_eq!(status, 503, "{answer:?}");
                        failed += 1;
                    }
                }
                if before == WRITES {
                    return (stale, failed);
                }
                // A hit never waits: let others run.
                tokio::task::yield_now().await;
            }
        })
    };
    let readers: Vec<_> = (0..CLIENTS)
        .map(|number| reader(["/products/numbered", "/products?category=numbers"][number % 2]))
        .collect();
    for number in 1..=WRITES {
        app.post_batch(numbered(number)).await.ok();
        app.put("/products/numbered/stock?in_stock=true").await.ok();
        written.store(number, Ordering::SeqCst);
        if number % 3 > 0 {
            app.get("/products/numbered").await;
            app.get("/products?category=numbers").await;
        }
        fixture.kill_database().await;
        test.advance(LONG);
        for _ in 0..10 {
            app.get("/products/numbered").await;
        }
        fixture.revive_database().await;
        test.advance(THROTTLE);
    }
    let mut seen = (0, 0);
    for reader in readers {
        let (stale, failed) = reader.await.unwrap();
        seen = (seen.0 + stale, seen.1 + failed);
    }
    assert!(seen.0 > 0 && seen.1 > 0, "(stale, failed) is {seen:?}: the test proves nothing");
}

/// A transaction holds the only connection, so that all other queries wait.
#[tokio::test]
async fn slow_database_is_a_timeout() {
    let db = Db::open("sqlite::memory:").await.unwrap();
    let settings = [("SOFT_TIMEOUT", "0.02"), ("HARD_TIMEOUT", "0.05")];
    let app = TestApp::configured(Store::memory(), db.clone(), &settings);
    app.get("/products/1").await.ok();
    app.get("/products").await.ok();
    let many = serde_json::from_value::<Vec<product_api::Product>>(numbered(0)).unwrap();
    let many = vec![many[0].clone(); 200_000];
    let writing = tokio::spawn(async move { db.upsert(&many).await });
    // Now it is the first that waits for the connection, if it doesn't have it yet.
    tokio::task::yield_now().await;

    for path in UNKNOWN {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 504, "{answer:?}");
        assert_eq!(answer.body, json!({"detail": "Database timed out"}));
    }
    app.app.products().expire("1").await.unwrap();
    assert!(is_stale(&app.get("/products/1").await), "a stale value is better than none");
    assert!(!writing.is_finished());
    writing.abort();
}
