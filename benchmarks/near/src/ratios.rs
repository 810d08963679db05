//! How many reads are hits, compared with a quick_cache that holds as many entries.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use hotshelf::{Cache, NearOptions, Store};
use hotshelf_testkit::RedisServer;
use quick_cache::sync::Cache as Table;
use tokio::runtime::Runtime;

use crate::store;
use crate::trace::{with_scans, zipf};

/// How much is measured.
pub(crate) struct Effort {
    keys: usize,
    reads: usize,
    repeats: u64,
    capacities: &'static [u64],
}

pub(crate) const FULL: Effort =
    Effort { keys: 100_000, reads: 200_000, repeats: 3, capacities: &[2 << 20, 8 << 20] };
pub(crate) const QUICK: Effort =
    Effort { keys: 20_000, reads: 40_000, repeats: 1, capacities: &[1 << 20] };

const TRACES: [&str; 3] = ["Zipf 0.9", "Zipf 1.0", "Zipf 0.9, 20 % scans"];

/// How far, in percentage points, random hashing alone may move a ratio.
const NOISE: f64 = 0.1;

/// The lifetime of all entries, and the bound of staleness: none of them is lost to time.
const LONG: Duration = Duration::from_secs(3600);
const STALENESS: Duration = Duration::from_secs(60);

/// The number of entries that are written at once.
const BATCH: usize = 1000;

/// Prints the table.
pub(crate) fn report(effort: &Effort) -> Result<(), Box<dyn Error>> {
    let bench = Bench::new()?;
    println!("Hits in % of the last 3/4 of {} reads, {} keys: median\n", effort.reads, effort.keys);
    println!("| reads | cache | MiB | entries | hits | quick_cache | difference | |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |");
    for &capacity in effort.capacities {
        for name in TRACES {
            let mut memory = Vec::new();
            let mut near = Vec::new();
            for seed in 1..=effort.repeats {
                let reads = trace(name, effort, seed);
                memory.push(bench.memory(capacity, &reads)?);
                near.push(bench.near(capacity, &reads)?);
            }
            print("`Store::memory()`", name, capacity, &memory);
            print("near tier", name, capacity, &near);
        }
    }
    Ok(())
}

fn print(cache: &str, trace: &str, capacity: u64, all: &[Compared]) {
    let median = |value: fn(&Compared) -> f64| {
        let mut values: Vec<f64> = all.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2] * 100.0
    };
    let (found, alone) = (median(|one| one.hits), median(|one| one.alone));
    let difference = found - alone;
    let verdict = if difference >= -NOISE { "reached" } else { "missed" };
    let (size, entries) = (capacity >> 20, all[0].entries);
    println!(
        "| {trace} | {cache} | {size} | {entries} | {found:.2} | {alone:.2} | {difference:+.2} | \
         {verdict} |"
    );
}

fn trace(name: &str, effort: &Effort, seed: u64) -> Vec<u32> {
    let exponent = if name == "Zipf 1.0" { 1.0 } else { 0.9 };
    let reads = zipf(effort.keys, exponent, seed).take(effort.reads);
    match name {
        "Zipf 0.9, 20 % scans" => with_scans(reads, effort.keys).collect(),
        _ => reads.collect(),
    }
}

/// The shares of hits, of a cache and of a table with as many entries.
struct Compared {
    entries: usize,
    hits: f64,
    alone: f64,
}

struct Bench {
    /// Where the connection to Redis lives.
    runtime: Runtime,
    server: RedisServer,
}

impl Bench {
    fn new() -> Result<Self, Box<dyn Error>> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build()?;
        Ok(Self { runtime, server: RedisServer::start()? })
    }

    /// Loads what is missing in a store in memory.
    fn memory(&self, capacity: u64, reads: &[u32]) -> Result<Compared, Box<dyn Error>> {
        let store = Store::builder().memory_capacity(capacity).build()?;
        let cache = store.cache("numbers").time_to_live(LONG).build()?;
        let weight = self.runtime.block_on(async {
            cache.insert_many((0..BATCH as u32).map(|id| (id, value(id)))).await;
            let used = store.info().await.server.map_or(0, |server| server.used_memory);
            cache.invalidate_all().await.map(|_| used as usize / BATCH)
        })?;
        let hits = self.share(reads, || cache.stats().hits, &cache);
        Ok(Compared::with(hits, capacity as usize / weight, reads))
    }

    /// Reads over a near tier from a server that has everything.
    fn near(&self, capacity: u64, reads: &[u32]) -> Result<Compared, Box<dyn Error>> {
        let options =
            NearOptions::default().max_bytes(capacity).max_staleness(STALENESS).time_to_live(LONG);
        let store = store::on(&self.server)?.near(options).build()?;
        let cache = store.cache("numbers").time_to_live(LONG).build()?;
        self.runtime.block_on(async {
            let ids: Vec<u32> = BTreeSet::from_iter(reads.iter().copied()).into_iter().collect();
            for ids in ids.chunks(BATCH) {
                let stored = cache.insert_many(ids.iter().map(|&id| (id, value(id)))).await;
                assert!(stored.iter().all(|&stored| stored), "the server takes all");
            }
        });
        let hits = self.share(reads, || cache.stats().near_hits, &cache);
        let near = self.runtime.block_on(store.info()).near.ok_or("no near tier")?;
        let weight = near.used_bytes as usize / near.entries;
        Ok(Compared::with(hits, capacity as usize / weight, reads))
    }

    fn share(&self, reads: &[u32], hits: impl Fn() -> u64, cache: &Cache<u64>) -> f64 {
        let (warm_up, counted) = reads.split_at(reads.len() / 4);
        let read = async |ids: &[u32]| {
            for &id in ids {
                cache.get_or_insert_with(id, async || value(id)).await;
            }
        };
        self.runtime.block_on(read(warm_up));
        let before = hits();
        self.runtime.block_on(read(counted));
        (hits() - before) as f64 / counted.len() as f64
    }
}

impl Compared {
    fn with(hits: f64, entries: usize, reads: &[u32]) -> Self {
        let table = Table::new(entries);
        let (warm_up, counted) = reads.split_at(reads.len() / 4);
        let read = |&&id: &&u32| {
            let is_hit = table.get(&id).is_some();
            if !is_hit {
                table.insert(id, value(id));
            }
            is_hit
        };
        let _ = warm_up.iter().filter(read).count();
        let alone = counted.iter().filter(read).count() as f64 / counted.len() as f64;
        Self { entries, hits, alone }
    }
}

/// Returns the value of a key: all have the same length.
fn value(id: u32) -> u64 {
    1_000_000_000 + u64::from(id)
}
