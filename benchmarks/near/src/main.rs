//! Caches in the memory of the process: what a hit costs, how many reads are hits, how much
//! memory an entry takes, and what keeping entries near costs the server.
//!
//! Figures are the best and the median of alternating runs.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod allocations;
mod connection;
mod hits;
mod memory;
mod product;
mod ratios;
mod spread;
mod store;
mod subjects;
mod trace;
mod tracking;

use std::error::Error;

const PARTS: [&str; 4] = ["hits", "ratios", "memory", "tracking"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["run", number, calls] => hits::run(number.parse()?, calls.parse()?),
        [] => report(&PARTS, false),
        ["quick"] => report(&PARTS, true),
        [part] if PARTS.contains(&part) => report(&[part], false),
        [part, "quick"] if PARTS.contains(&part) => report(&[part], true),
        _ => Err(format!("usage: near [{}] [quick]", PARTS.join(" | ")).into()),
    }
}

fn report(parts: &[&str], quick: bool) -> Result<(), Box<dyn Error>> {
    for part in parts {
        match (*part, quick) {
            ("hits", false) => hits::report(15, 400_000)?,
            ("hits", true) => hits::report(5, 100_000)?,
            ("ratios", false) => ratios::report(&ratios::FULL)?,
            ("ratios", true) => ratios::report(&ratios::QUICK)?,
            ("memory", false) => memory::report(1_000_000, 100_000)?,
            ("memory", true) => memory::report(100_000, 20_000)?,
            (_, false) => tracking::report(5, 10_000)?,
            (_, true) => tracking::report(3, 1_000)?,
        }
        println!();
    }
    Ok(())
}
