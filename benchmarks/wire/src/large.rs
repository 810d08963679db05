//! Small reads beside readers of large values.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hotshelf::{Cache, Store};
use hotshelf_testkit::RedisServer;

/// The size of the large values in MiB, and the number of their readers.
const LOADS: [(usize, usize); 2] = [(10, 8), (1, 64)];

/// The number of large values, and of small ones.
const LARGE: u64 = 10;
const SMALL: u64 = 100;

/// How long each load runs, and the pause between small reads.
const RUN: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(2);

/// Prints how long small reads take.
pub(crate) fn print() -> Result<(), Box<dyn Error>> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!(
        "| large values | small reads, ms: p50 | p99 | max | failed | large reads/s | failed |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (size, readers) in LOADS {
        println!("{}", runtime.block_on(row(size, readers))?);
    }
    Ok(())
}

async fn row(size: usize, readers: usize) -> Result<String, Box<dyn Error>> {
    let server = RedisServer::start()?;
    let store = Store::connect(&server.url()).await?;
    let large = store.cache::<String>("large").max_value_bytes(64 << 20).build()?;
    let small = store.cache::<u64>("small").build()?;
    for key in 0..LARGE {
        large.insert(key, "x".repeat(size << 20)).await;
    }
    for key in 0..SMALL {
        small.insert(key, key).await;
    }
    let load = Arc::new(Load::default());
    let reading = |reader| tokio::spawn(read_large(large.clone(), Arc::clone(&load), reader));
    let tasks: Vec<_> = (0..readers as u64).map(reading).collect();
    let (mut times, failed) = read_small(&small).await;
    load.stopped.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await?;
    }
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e3;
    let longest = times.last().map_or(0.0, |time| time.as_secs_f64() * 1e3);
    let (hits, misses) = (&load.hits, &load.misses);
    let per_second = hits.load(Ordering::Relaxed) as f64 / RUN.as_secs_f64();
    Ok(format!(
        "| {readers} readers of {size} MiB | {:.1} | {:.1} | {longest:.1} | {failed} | \
         {per_second:.0} | {} |",
        at(50),
        at(99),
        misses.load(Ordering::Relaxed),
    ))
}

#[derive(Default)]
struct Load {
    stopped: AtomicBool,
    hits: AtomicU64,
    misses: AtomicU64,
}

async fn read_large(cache: Cache<String>, load: Arc<Load>, first: u64) {
    let mut key = first;
    while !load.stopped.load(Ordering::Relaxed) {
        key += 1;
        let count = match cache.get(key % LARGE).await {
            Some(_) => &load.hits,
            None => &load.misses,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns the time of each read, and the number of those that failed.
#[expect(clippy::disallowed_methods, reason = "a benchmark runs in real time")]
async fn read_small(cache: &Cache<u64>) -> (Vec<Duration>, usize) {
    // The first reads find out which values are large.
    tokio::time::sleep(RUN / 10).await;
    let (began, mut times, mut failed) = (Instant::now(), Vec::new(), 0);
    for key in (0..SMALL).cycle() {
        let start = Instant::now();
        if start - began > RUN {
            break;
        }
        failed += usize::from(cache.get(key).await.is_none());
        times.push(start.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    (times, failed)
}
