//! Caches in the memory of the process: what a hit costs, and how many reads are hits.
//!
//! Figures are the best and the median of alternating runs.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod allocations;
mod hits;
mod product;
mod ratios;
mod spread;
mod subjects;
mod trace;

use std::error::Error;

const PARTS: [&str; 2] = ["hits", "ratios"];

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
            (_, false) => ratios::report(&ratios::FULL)?,
            (_, true) => ratios::report(&ratios::QUICK)?,
        }
        println!();
    }
    Ok(())
}
