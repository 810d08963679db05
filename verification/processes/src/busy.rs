//! A process whose runtimes are blocked again and again.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotshelf::{Cache, Store};
use hotshelf_testkit::RedisServer;
use tokio::runtime::{Builder, Runtime};

use crate::callers::{Callers, now, pause};
use crate::rows::Rows;

/// The warm rows, and the readers of each runtime.
const WARM: u64 = 50;
const READERS: usize = 16;

/// Runs two runtimes on one store, each of which is blocked for 50 to 400 ms at a time.
pub(crate) fn run(duration: Duration) -> Result<(), Box<dyn Error>> {
    let (server, source) = (RedisServer::start()?, RedisServer::start()?);
    let setup = runtime()?;
    let (store, warm, callers) = setup.block_on(async {
        let store = Store::connect(&server.url()).await?;
        let warm: Cache<u64> =
            store.cache("warm").time_to_live(Duration::from_secs(3600)).build()?;
        for row in 0..WARM {
            warm.insert(row, row).await;
        }
        let rows = Rows::connect(&source.url()).await?;
        let callers = Callers::new(store.cache("rows").build()?, rows, 7);
        Ok::<_, Box<dyn Error>>((store, warm, callers))
    })?;
    let blocked = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (warm, callers) = (warm.clone(), Arc::clone(&callers));
            let (blocked, runtime) = (Arc::clone(&blocked), runtime()?);
            Ok(std::thread::spawn(move || {
                runtime.block_on(busy(&warm, &callers, &blocked, duration));
            }))
        })
        .collect::<Result<_, std::io::Error>>()?;
    for thread in threads {
        thread.join().map_err(|_| "a runtime has panicked")?;
    }
    let (stats, of_warm) = (callers.cache.stats(), warm.stats());
    let unfinished = setup.block_on(store.close());
    let mut report = callers.report(stats);
    report.calls += of_warm.hits;
    report.lost_hits = of_warm.misses + of_warm.loads;
    report.errors += of_warm.errors;
    report.left = (unfinished.invalidations + unfinished.leases) as u64;
    let left = server.cli(&["KEYS", "hs:l:*"]);
    report.left += left.lines().filter(|name| !name.is_empty()).count() as u64;
    let blocked = blocked.load(Ordering::Relaxed);
    println!("{duration:?}, 2 runtimes, blocked {blocked} times: {report}");
    report.check()
}

fn runtime() -> Result<Runtime, std::io::Error> {
    Builder::new_current_thread().enable_all().build()
}

async fn busy(warm: &Cache<u64>, callers: &Arc<Callers>, blocked: &AtomicU64, duration: Duration) {
    let until = now() + duration;
    let mut tasks = Vec::new();
    for _ in 0..READERS {
        let (warm, callers) = (warm.clone(), Arc::clone(callers));
        tasks.push(tokio::spawn(async move {
            while now() < until {
                let row = callers.below(WARM);
                match callers.below(2) {
                    0 => drop(warm.get(row).await),
                    _ => drop(warm.get_or_insert_with(row, async || row).await),
                }
                pause(Duration::from_millis(callers.below(4))).await;
            }
        }));
    }
    for _ in 0..4 {
        let callers = Arc::clone(callers);
        tasks.push(tokio::spawn(async move { callers.run(false).await }));
    }
    while now() < until {
        pause(Duration::from_millis(20 + callers.below(150))).await;
        block(Duration::from_millis(50 + callers.below(350)));
        blocked.fetch_add(1, Ordering::Relaxed);
    }
    callers.stopped.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("the task doesn't panic");
    }
}

#[expect(clippy::disallowed_methods, reason = "this is what a busy process does")]
fn block(duration: Duration) {
    std::thread::sleep(duration);
}
