//! Compares caches: which of them serve an invalidated value, and which load a cold key more
//! than once.
//!
//! For each library, with its own get-or-load call: a load reads the data, the data changes,
//! the entry is invalidated, the load ends, and the value is read again. Then 1,000 callers in
//! each of 4 processes ask for one cold key, and the loads are counted.
//!
//! Prints a Markdown table and writes `target/bench/race.json`. Every measurement runs in its
//! own process, [`child`], so that [`parent`] can end it whatever a library does. Fails if
//! hotshelf returns a stale value or loads a key twice; the other libraries are only reported.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod child;
mod library;
mod loader;
mod parent;
mod report;

use std::error::Error;

use hotshelf_testkit::RedisServer;
use tokio::runtime;

use library::Contestant;
use report::Row;

/// Any error.
type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // It takes half a minute, so `quick` skips nothing.
        [] | ["quick"] => compare(),
        [label, scenario, redis_url] => {
            (Contestant::labelled(label)?.run)(scenario.parse()?, redis_url)
        }
        _ => Err("usage: race [quick]".into()),
    }
}

/// Measures every library, prints the table and checks hotshelf.
fn compare() -> Result<(), Failure> {
    let redis = RedisServer::start()?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = Contestant::all().into_iter().map(|contestant| {
        redis.command(&["FLUSHALL"]);
        runtime.block_on(parent::measure(contestant, &redis.url()))
    });
    let rows: Vec<Row> = measured.collect();
    report::print(&rows);
    report::write(&rows)?;
    report::check(&rows)
}
