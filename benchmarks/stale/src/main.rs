//! What stale windows, refreshes and batches cost:
//!
//! - the instructions of a hit with windows, of those of one without, by valgrind;
//! - CPU time and instructions of 100 hits by `get_or_load_many`, of those of one `MGET` of 100 by
//!   the redis crate and by hotshelf's own client;
//! - the latencies of hits while values are refreshed in the background, of those without.
//!
//! Each subject runs in its own process, in turns.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]
#![expect(clippy::disallowed_methods, reason = "benchmarks run in real time")]

mod latencies;
mod subjects;
mod valgrind;

use std::error::Error;
use std::process::Command;

use hotshelf_testkit::RedisServer;

use subjects::{BATCHES, HITS, Subject};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => report(7, 3),
        ["quick"] => report(3, 1),
        ["run", name, port, calls] => {
            println!("{}", Subject::named(name)?.run(port.parse()?, calls.parse()?)?);
            Ok(())
        }
        _ => Err("usage: stale [quick]".into()),
    }
}

fn report(repeats: usize, seconds: u64) -> Result<(), Box<dyn Error>> {
    let server = RedisServer::start()?;
    println!("Instructions of a call, without the kernel's\n");
    println!("| | instructions | times |\n| --- | ---: | ---: |");
    for group in HITS.iter().chain([&BATCHES[..]].iter()) {
        let mut first = None;
        for subject in *group {
            let each = valgrind::instructions(&server, *subject)?;
            let times = each / *first.get_or_insert(each);
            println!("| {} | {each:.0} | {times:.3} |", subject.name());
        }
    }
    println!("\n100 hits in one call: CPU µs of the client, best (median)\n");
    println!("| | CPU | times |\n| --- | ---: | ---: |");
    let mut costs = BATCHES.map(|_| Vec::new());
    for _ in 0..repeats {
        for (subject, costs) in BATCHES.iter().zip(&mut costs) {
            costs.push(measure(&server, *subject, 5_000)?);
        }
    }
    let mut first = None;
    for (subject, costs) in BATCHES.iter().zip(&mut costs) {
        costs.sort_by(f64::total_cmp);
        let (best, median) = (costs[0], costs[costs.len() / 2]);
        let times = best / *first.get_or_insert(best);
        println!("| {} | {best:.1} ({median:.1}) | {times:.2} |", subject.name());
    }
    latencies::print(&server, seconds)
}

/// Runs a subject in its own process, and returns the CPU time of a call in microseconds.
fn measure(server: &RedisServer, subject: Subject, calls: usize) -> Result<f64, Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?)
        .args(subject.arguments(server.port(), calls))
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
