//! The compared subjects, by name; each runs in its own process.

use std::error::Error;
use std::process::Command;

use crate::clients::{Fred, Hotshelf, Redis, Redis2, Rustis};
use crate::load::{Cost, Load};
use crate::typed::{ByHand, Cached, HotshelfCache, TypedReader};

pub(crate) const CLIENTS: [&str; 5] = ["hotshelf", "redis 1.8", "redis 2.0-rc", "rustis", "fred"];
pub(crate) const CACHES: [&str; 3] = ["hotshelf Cache", "cached", "redis 1.8 by hand"];

/// hotshelf with a runtime for each worker.
pub(crate) const APART: &str = "hotshelf apart";

/// The server's own client, for its throughput only.
pub(crate) const BENCHMARK: &str = "redis-benchmark";

/// Runs a subject in this process.
pub(crate) fn run(
    subject: &str,
    load: Load,
    port: u16,
    calls: usize,
) -> Result<Cost, Box<dyn Error>> {
    match subject {
        "hotshelf" => load.run::<Hotshelf>(port, calls),
        APART => load.run_apart::<Hotshelf>(port, calls),
        "redis 1.8" => load.run::<Redis>(port, calls),
        "redis 2.0-rc" => load.run::<Redis2>(port, calls),
        "rustis" => load.run::<Rustis>(port, calls),
        "fred" => load.run::<Fred>(port, calls),
        "hotshelf Cache" => load.run::<HotshelfCache>(port, calls),
        "cached" => load.run::<Cached>(port, calls),
        "redis 1.8 by hand" => load.run::<ByHand>(port, calls),
        _ => Err("unknown client".into()),
    }
}

/// Writes the values that the caches read.
pub(crate) fn fill_caches(port: u16, size: usize) -> Result<(), Box<dyn Error>> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio.block_on(async {
        HotshelfCache::fill(port, size).await?;
        Cached::fill(port, size).await?;
        ByHand::fill(port, size).await
    })
}

/// Returns the arguments with which [`crate::main`] runs a subject.
pub(crate) fn arguments(subject: &str, load: Load, port: u16, calls: usize) -> Vec<String> {
    let numbers = [port.into(), load.size, load.callers, load.workers, calls];
    let words = ["run".to_owned(), subject.to_owned()];
    words.into_iter().chain(numbers.map(|number: usize| number.to_string())).collect()
}

/// Runs a subject in its own process.
pub(crate) fn measure(
    subject: &str,
    load: Load,
    port: u16,
    calls: usize,
) -> Result<Cost, Box<dyn Error>> {
    if subject == BENCHMARK {
        return benchmark(load, port, calls);
    }
    let mut process = Command::new(std::env::current_exe()?);
    let output = process.args(arguments(subject, load, port, calls)).output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{subject} failed: {error}").into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs redis-benchmark with the same keys on one connection, with as many concurrent commands
/// as there are callers.
fn benchmark(load: Load, port: u16, calls: usize) -> Result<Cost, Box<dyn Error>> {
    let Load { size, callers, .. } = load;
    let (port, callers, calls) = (port.to_string(), callers.to_string(), calls.to_string());
    let output = Command::new("redis-benchmark")
        .args(["-p", &port, "-c", "1", "-P", &callers, "-n", &calls, "-r", "1000", "--csv"])
        .args(["GET", &format!("{size}:__rand_int__")])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let second = text.lines().last().and_then(|line| line.split("\",\"").nth(1));
    let per_second =
        second.ok_or_else(|| format!("unexpected output of redis-benchmark: {text}"))?.parse()?;
    Ok(Cost { cpu_micros: f64::NAN, per_second })
}
