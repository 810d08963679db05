//! The overhead of the engine on a hit, compared with decoding the same value alone, on a
//! backend that is always ready; and the cost of an invalidation by tag on Redis.
//!
//! Times are the best and the median of alternating batches. Instructions are counted by
//! valgrind, independent of the load of the machine.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod instructions;
mod ready;
mod wire;

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use hotshelf::{Cache, Store, cached};
use hotshelf_core::codec::{Codec, Json};
use hotshelf_core::trailer::{CodecId, Trailer};
use ready::Ready;
use serde::{Deserialize, Serialize};

/// About 200 bytes of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Product {
    id: String,
    name: String,
    category: String,
    description: String,
    price: f64,
    in_stock: bool,
    created_at: String,
}

impl Product {
    pub(crate) fn example() -> Self {
        Self {
            id: "4711".into(),
            name: "Reading lamp".into(),
            category: "lighting".into(),
            description: "A lamp to read by, with an arm of brass and a shade of linen".into(),
            price: 59.9,
            in_stock: true,
            created_at: "2026-01-02T03:04:05Z".into(),
        }
    }
}

/// A measured operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// `Json::decode` alone.
    Decode,
    /// `Cache::get`.
    Get,
    /// `Cache::get_or_insert_with`, on a hit.
    GetOrInsert,
    /// The same in memory, where a hit costs least, in a function.
    InMemory,
    /// The same function with `#[cached]`.
    Cached,
}

impl Subject {
    pub(crate) const ALL: [Self; 5] =
        [Self::Decode, Self::Get, Self::GetOrInsert, Self::InMemory, Self::Cached];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Get => "get",
            Self::GetOrInsert => "get_or_insert_with",
            Self::InMemory => "get_or_insert_with in memory",
            Self::Cached => "#[cached] in memory",
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => report(200, 1_000_000),
        ["quick"] => report(20, 20_000),
        ["run", name, count] => run_one(name, count.parse()?),
        _ => Err("usage: engine [quick]".into()),
    }
}

/// Runs one subject `count` times, under valgrind.
fn run_one(name: &str, count: u32) -> Result<(), Box<dyn Error>> {
    let subject = Subject::ALL.into_iter().find(|subject| subject.name() == name);
    let bench = Bench::new()?;
    bench.run(subject.ok_or("unknown subject")?, count);
    Ok(())
}

/// The prepared state of a run.
struct Bench {
    tokio: tokio::runtime::Runtime,
    cache: Cache<Product>,
    memory: Cache<Product>,
    entry: bytes::Bytes,
}

async fn product_by_hand(cache: &Cache<Product>, id: &str) -> Arc<Product> {
    cache.get_or_insert_with(id, async || Product::example()).await
}

#[cached(cache = cache, key = id)]
async fn product(cache: &Cache<Product>, id: &str) -> Product {
    Product::example()
}

impl Bench {
    fn new() -> Result<Self, Box<dyn Error>> {
        let entry = bytes::Bytes::from(serde_json::to_vec(&Product::example())?);
        let backend = Arc::new(Ready::new(with_trailer(&entry)));
        let cache = Store::builder().backend(backend).build()?.cache("products").build()?;
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let memory = Store::memory().cache("products").build()?;
        Ok(Self { tokio, cache, memory, entry })
    }

    fn run(&self, subject: Subject, count: u32) {
        self.tokio.block_on(async {
            for _ in 0..count {
                match subject {
                    Subject::Decode => {
                        let product: Option<Product> = Json.decode(&self.entry).ok();
                        std::hint::black_box(product.map(Arc::new));
                    }
                    Subject::Get => {
                        std::hint::black_box(self.cache.get("4711").await);
                    }
                    Subject::GetOrInsert => {
                        let load = async || Product::example();
                        std::hint::black_box(self.cache.get_or_insert_with("4711", load).await);
                    }
                    Subject::InMemory => {
                        std::hint::black_box(product_by_hand(&self.memory, "4711").await);
                    }
                    Subject::Cached => {
                        std::hint::black_box(product(&self.memory, "4711").await);
                    }
                }
            }
        });
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    fn time(&self, subject: Subject, count: u32) -> Duration {
        let start = std::time::Instant::now();
        self.run(subject, count);
        start.elapsed() / count
    }
}

/// Returns the entry that a fill would have written.
fn with_trailer(value: &[u8]) -> bytes::Bytes {
    let mut entry = value.to_vec();
    let trailer = Trailer {
        codec: CodecId::JSON,
        absent: false,
        fill: [1; 5],
        loaded_at: 1_700_000_000_000,
        fresh_for: 300_000,
        lives_for: None,
        late_tags: false,
        load_time: 12,
        tags: Vec::new(),
    };
    trailer.append_to(&mut entry);
    entry.into()
}

#[derive(Serialize)]
struct Row {
    measure: &'static str,
    library: &'static str,
    variant: &'static str,
    value: f64,
    unit: &'static str,
}

fn report(rounds: usize, entries: u64) -> Result<(), Box<dyn Error>> {
    let bench = Bench::new()?;
    let mut times = Subject::ALL.map(|_| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for (subject, times) in Subject::ALL.into_iter().zip(&mut times) {
            times.push(bench.time(subject, 2000).as_secs_f64() * 1e9);
        }
    }
    let mut rows = Vec::new();
    println!("A hit of {} bytes of JSON on a backend that is always ready\n", bench.entry.len());
    println!("| | best ns | median ns | instructions |");
    println!("| --- | ---: | ---: | ---: |");
    let mut all = Vec::new();
    for (subject, mut times) in Subject::ALL.into_iter().zip(times) {
        times.sort_by(f64::total_cmp);
        let instructions = instructions::per_run(subject)?;
        all.push([times[0], times[times.len() / 2], instructions]);
    }
    for (subject, figures) in Subject::ALL.into_iter().zip(&all) {
        print_row(&mut rows, subject.name(), *figures);
    }
    for (name, figures) in [("get - decode", all[1]), ("get_or_insert_with - decode", all[2])] {
        print_row(&mut rows, name, [0, 1, 2].map(|column| figures[column] - all[0][column]));
    }
    println!("\n| `invalidate_tag` over | commands | ms |\n| --- | ---: | ---: |");
    for entries in [entries / 1000, entries] {
        let wire::Cost { entries, commands, time } =
            bench.tokio.block_on(wire::invalidate_tag(entries))?;
        println!("| {entries} entries | {commands} | {:.2} |", time.as_secs_f64() * 1e3);
        rows.push(Row {
            measure: "invalidate_tag",
            library: "hotshelf",
            variant: if entries >= 20_000 { "many entries" } else { "few entries" },
            value: commands as f64,
            unit: "commands",
        });
    }
    fs::create_dir_all("target/bench")?;
    fs::write("target/bench/engine.json", serde_json::to_string_pretty(&rows)?)?;
    Ok(())
}

fn print_row(rows: &mut Vec<Row>, name: &'static str, [best, median, instructions]: [f64; 3]) {
    println!("| {name} | {best:.0} | {median:.0} | {instructions:.0} |");
    for (variant, value, unit) in
        [("best", best, "ns"), ("median", median, "ns"), ("count", instructions, "instructions")]
    {
        rows.push(Row { measure: name, library: "hotshelf", variant, value, unit });
    }
}
