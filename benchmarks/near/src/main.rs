//! Caches in the memory of the process: what a hit costs, how many reads are hits, and how much
//! memory an entry takes.
//!
//! Figures are the best and the median of alternating runs.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod allocations;
mod hits;
mod memory;
mod product;
mod ratios;
mod spread;
mod subjects;
mod trace;

use std::error::Error;

const PARTS: [&str; 3] = ["hits", "ratios", "memory"];

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
            (_, false) => memory::report(1_000_000, 100_000)?,
            (_, true) => memory::report(100_000, 20_000)?,
        }
        println!();
    }
    Ok(())
}
