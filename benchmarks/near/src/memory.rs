//! The memory that an entry takes beyond its key, its encoded value and its decoded value.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::time::Duration;

use hotshelf::{Cache, NearOptions, Store};
use hotshelf_testkit::RedisServer;
use tokio::runtime::Runtime;

use crate::allocations::{Kept, kept_by};
use crate::store;

const GOAL: f64 = 96.0;

const LONG: Duration = Duration::from_secs(3600);

/// More than an entry takes: nothing is evicted.
const ROOM: u64 = 1024;

/// The number of entries that are written at once.
const BATCH: u32 = 1000;

/// Prints what an entry takes in a store in memory, and in a near tier. All entries were read, so
/// that their values are decoded.
pub(crate) fn report(in_memory: u32, near: u32) -> Result<(), Box<dyn Error>> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build()?;

    let before = resident()?;
    let (kept, filled) = kept_by(|| fill_memory(&runtime, in_memory));
    let (store, cache) = filled?;
    print("`Store::memory()`", in_memory, &kept, &cache);
    let growth = (resident()? - before) / f64::from(in_memory);
    println!("The process has grown by {growth:.1} bytes for each.\n");
    drop((store, cache));

    let server = RedisServer::start()?;
    let options = NearOptions::default().max_staleness(Duration::from_secs(60)).time_to_live(LONG);
    let options = options.max_bytes(u64::from(near) * ROOM);
    let store = store::on(&server)?.build()?;
    insert_all(&runtime, &store.cache("numbers").time_to_live(LONG).build()?, near);
    let store = store::on(&server)?.near(options).build()?;
    let cache = store.cache("numbers").time_to_live(LONG).build()?;
    // The first reads are admitted, the second ones answered from the near tier.
    let (kept, ()) = kept_by(|| (0..2).for_each(|_| read_all(&runtime, &cache, near)));
    let entries = runtime.block_on(store.info()).near.map_or(0, |near| near.entries);
    if entries < near as usize {
        return Err(format!("only {entries} entries are near").into());
    }
    print("Near tier", near, &kept, &cache);
    Ok(())
}

fn fill_memory(runtime: &Runtime, count: u32) -> Result<(Store, Cache<u64>), Box<dyn Error>> {
    let store = Store::builder().memory_capacity(u64::from(count) * ROOM).build()?;
    let cache = store.cache("numbers").time_to_live(LONG).build()?;
    insert_all(runtime, &cache, count);
    read_all(runtime, &cache, count);
    Ok((store, cache))
}

fn insert_all(runtime: &Runtime, cache: &Cache<u64>, count: u32) {
    runtime.block_on(async {
        for first in (0..count).step_by(BATCH as usize) {
            let entries = (first..first + BATCH).map(|id| (number(id), number(id)));
            assert!(cache.insert_many(entries).await.iter().all(|&stored| stored), "not full");
        }
    });
}

fn read_all(runtime: &Runtime, cache: &Cache<u64>, count: u32) {
    runtime.block_on(async {
        for id in 0..count {
            assert!(cache.get(number(id)).await.is_some(), "it was stored");
        }
    });
}

/// Returns the key of an entry, which is its value, too: all have the same length.
fn number(id: u32) -> u64 {
    1_000_000_000 + u64::from(id)
}

fn resident() -> Result<f64, Box<dyn Error>> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = pages.split_whitespace().nth(1).ok_or("no resident size")?.parse()?;
    Ok(pages * 4096.0)
}

fn print(name: &str, count: u32, kept: &Kept, cache: &Cache<u64>) {
    let each = f64::from(count);
    let key = cache.wire_key(number(0)).as_bytes().len();
    let (encoded, decoded) = (number(0).to_string().len(), size_of::<u64>());
    let mut requested = kept.large as f64;
    let mut rounded = requested;
    let mut blocks = BTreeMap::new();
    for (size, &number) in kept.blocks.iter().enumerate() {
        requested += (size as i64 * number) as f64;
        rounded += (chunk(size) as i64 * number) as f64;
        // Not those that only some entries have.
        if number as f64 > each / 50.0 {
            blocks.insert(size, number as f64 / each);
        }
    }
    let own = (key + encoded + decoded) as f64;
    println!("{name}: bytes of each of {count} entries, read once\n");
    println!("| | bytes |\n| --- | ---: |");
    println!("| key {key}, encoded value {encoded}, decoded value {decoded} | {own} |");
    for (size, share) in blocks {
        println!("| {share:.2} blocks of {size} | {:.1} |", share * size as f64);
    }
    println!("| large blocks: the table | {:.1} |", kept.large as f64 / each);
    println!("| rounding and headers of the allocator | {:.1} |", (rounded - requested) / each);
    println!("| all | {:.1} |", rounded / each);
    let overhead = rounded / each - own;
    let verdict = if overhead <= GOAL { "reached" } else { "missed" };
    println!("| **overhead**, goal {GOAL}: {verdict} | {overhead:.1} |\n");
}

/// Returns what glibc takes for a block: a header of 8 bytes, in steps of 16.
fn chunk(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}
