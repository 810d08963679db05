//! Real processes that restart, and processes that are too busy to wait.
//!
//! - `processes restart`: two processes of 16 callers each load and write the same rows; again
//!   and again one of them is asked to end in the middle of its loads.
//! - `processes busy`: two runtimes of one process, each of which is blocked at random for 50 to
//!   400 ms, read warm rows, and load and write others.
//!
//! Both print what the callers saw, and fail if it was anything but correct values, in time.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod busy;
mod callers;
mod report;
mod restart;
mod rows;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: processes restart [RESTARTS] | busy [SECONDS]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("processes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    match arguments {
        ["restart"] => restart::run(10),
        ["restart", restarts] => restart::run(restarts.parse()?),
        ["busy"] => busy::run(Duration::from_secs(60)),
        ["busy", seconds] => busy::run(Duration::from_secs(seconds.parse()?)),
        // A child of `restart`.
        ["serve", cache, source] => restart::serve(cache, source),
        _ => Err(USAGE.into()),
    }
}
