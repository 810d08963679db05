//! What it costs the client that a Cluster spreads its commands over several connections.

use std::error::Error;
use std::time::Duration;

use hotshelf::{RedisClient, RedisOptions, Store};
use hotshelf_testkit::RedisCluster;

use crate::load::{KEYS, Key, Load, Reader, key};

const SIZE: usize = 200;
const PRIMARIES: [usize; 3] = [1, 3, 6];
const CALLERS: [usize; 4] = [32, 128, 256, 1024];
const CALLS: usize = 100_000;
const REPEATS: usize = 5;

/// The most that a `GET` may cost with six primaries, times the same with one: with 32 callers
/// about five commands share a packet instead of 32.
const GOALS: [(usize, f64); 2] = [(32, 2.0), (256, 1.6)];

#[derive(Clone)]
struct Nodes {
    redis: RedisClient,
    /// Closes the connections when it is dropped.
    _store: Store,
}

impl Reader for Nodes {
    async fn connect(port: u16) -> Result<Self, Box<dyn Error>> {
        let options = RedisOptions::from_url(&format!("redis+cluster://127.0.0.1:{port}"))?;
        let options = options.read_timeout(Duration::from_secs(10));
        let store = Store::builder().redis(options).build()?;
        let redis = store.redis().ok_or("the store is not on Redis")?.clone();
        Ok(Self { redis, _store: store })
    }

    async fn get(&self, key: &Key) -> usize {
        self.redis.get(key).await.ok().flatten().map_or(0, |value| value.len())
    }
}

/// Prints the CPU time of a `GET` for each number of primaries, and whether the goals are reached.
pub(crate) fn print() -> Result<(), Box<dyn Error>> {
    let mut medians = Vec::new();
    println!("CPU of the client in µs per `GET` of {SIZE} bytes, best (median), 1 worker\n");
    println!("| callers | 1 primary | 3 | 6 | 6, times 1 |");
    println!("| ---: | ---: | ---: | ---: | ---: |");
    let clusters = PRIMARIES.map(|primaries| RedisCluster::start_sized(primaries, 0, &[]));
    let clusters = clusters.into_iter().collect::<Result<Vec<_>, _>>()?;
    for cluster in &clusters {
        fill(cluster.node(0).port())?;
    }
    for callers in CALLERS {
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); clusters.len()];
        for _ in 0..REPEATS {
            for (cluster, times) in clusters.iter().zip(&mut times) {
                let load = Load { size: SIZE, callers, workers: 1 };
                times.push(load.run::<Nodes>(cluster.node(0).port(), CALLS)?.cpu_micros);
            }
        }
        times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
        let shown: Vec<String> = times
            .iter()
            .map(|times| format!("{:.2} ({:.2})", times[0], times[REPEATS / 2]))
            .collect();
        let ratio = times[2][REPEATS / 2] / times[0][REPEATS / 2];
        println!("| {callers} | {} | {ratio:.2} |", shown.join(" | "));
        medians.push((callers, ratio));
    }
    println!();
    for (callers, goal) in GOALS {
        let ratio = medians.iter().find(|(of, _)| *of == callers).map_or(f64::NAN, |found| found.1);
        let verdict = if ratio <= goal { "reached" } else { "missed" };
        println!(
            "- {callers} callers, six primaries, times one: {ratio:.2}, goal {goal}: {verdict}"
        );
    }
    Ok(())
}

fn fill(port: u16) -> Result<(), Box<dyn Error>> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio.block_on(async {
        let nodes = Nodes::connect(port).await?;
        for number in 0..KEYS {
            nodes.redis.set(&key(SIZE, number), &"x".repeat(SIZE)).await?;
        }
        Ok(())
    })
}
