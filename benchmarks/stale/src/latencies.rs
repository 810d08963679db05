//! The latencies of hits while values are refreshed.

use std::error::Error;
use std::time::{Duration, Instant};

use hotshelf::{Cache, Store};
use hotshelf_testkit::RedisServer;

/// Each of them is refreshed once a second.
const KEYS: [u64; 2] = [100, 1_000];
const CALLERS: u64 = 8;
const HOUR: Duration = Duration::from_secs(3_600);

/// Prints the latencies of hits with values that end after a second and are refreshed, and of those
/// with values that don't end, alternately.
pub(crate) fn print(server: &RedisServer, seconds: u64) -> Result<(), Box<dyn Error>> {
    println!("\nLatency of hits, {CALLERS} callers: µs, best of 3\n");
    println!("| | keys | p50 | p99 | refreshes a second |\n| --- | ---: | ---: | ---: | ---: |");
    let tokio =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let places = [
        ("in memory", Store::memory()),
        ("on Redis", {
            tokio.block_on(Store::connect(&format!("redis://127.0.0.1:{}", server.port())))?
        }),
    ];
    let measured = places.iter().flat_map(|place| KEYS.map(|keys| (place, keys)));
    for ((place, store), keys) in measured {
        let mut best = [[f64::MAX; 3]; 2];
        for _ in 0..3 {
            for (refreshing, best) in [false, true].into_iter().zip(&mut best) {
                let name = format!("{keys} {}", if refreshing { "refreshed" } else { "fresh" });
                let time = if refreshing { Duration::from_secs(1) } else { HOUR };
                let cache = store.cache(name).time_to_live(time).stale_while_revalidate(HOUR);
                let cache = cache.build()?;
                let [p50, p99, rate] = tokio.block_on(run(&cache, keys, seconds))?;
                if p99 < best[1] {
                    *best = [p50, p99, rate];
                }
            }
        }
        for ([p50, p99, rate], what) in best.into_iter().zip(["fresh", "refreshed"]) {
            println!("| {place}, {what} | {keys} | {p50:.1} | {p99:.1} | {rate:.0} |");
        }
    }
    Ok(())
}

async fn run(cache: &Cache<u64>, keys: u64, seconds: u64) -> Result<[f64; 3], Box<dyn Error>> {
    for key in 0..keys {
        cache.insert(key, key).await;
    }
    let before = cache.stats().refreshes;
    let end = Instant::now() + Duration::from_secs(seconds);
    let callers = (0..CALLERS).map(|caller| {
        let cache = cache.clone();
        tokio::spawn(async move {
            let mut latencies = Vec::with_capacity(1 << 20);
            let mut key = caller * keys / CALLERS;
            while Instant::now() < end {
                key = (key + 1) % keys;
                let began = Instant::now();
                let load = move |_| async move { Ok::<_, ()>(key) };
                let got = cache.entry(key).or_refresh_with(load).await;
                latencies.push(began.elapsed().as_nanos() as f64 / 1e3);
                assert!(got.is_ok());
            }
            latencies
        })
    });
    let mut all = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        all.extend(caller.await?);
    }
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[(all.len() as f64 * share) as usize];
    let refreshes = (cache.stats().refreshes - before) as f64 / seconds as f64;
    Ok([at(0.5), at(0.99), refreshes])
}
