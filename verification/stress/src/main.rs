//! Stress test: processes read, load, write and invalidate against a real server under
//! injected faults, and no call may be given a value that was invalidated before it began.
//!
//! The parent starts two servers, one for the cache and one without faults for the database.
//! Its children ([`worker`]) record each operation with its times on the clock of all
//! processes; the parent injects the faults ([`faults`]) and checks the merged history
//! ([`history`]). A mutant of the backend ([`mutant`]) must show stale answers, or the run
//! proves nothing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod arguments;
mod clock;
mod faults;
mod history;
mod loads;
mod mutant;
mod run;
mod used;
mod worker;

use std::error::Error;
use std::process::ExitCode;

use arguments::Command;
use faults::Fault;
use mutant::Mutant;
use run::{Plan, Report};

/// The duration of the parts of `--quick`.
const QUICK_SECONDS: u64 = 9;
const QUICK_MUTANT_SECONDS: u64 = 3;

/// How often a run is repeated at most if what it is for has not happened, by chance.
const ATTEMPTS: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = arguments::parse(&arguments).and_then(|command| match command {
        Command::Work(job) => worker::run(&job),
        Command::Run(plan) => one_run(&plan).map(drop),
        Command::Quick { processes } => quick(processes),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stress: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Executes a plan, again if it has proved nothing.
fn one_run(plan: &Plan) -> Result<Report, Box<dyn Error>> {
    println!("{plan}");
    let mut attempts = 0;
    loop {
        let report = run::run(plan)?;
        println!("{report}\n");
        report.check(plan.mutant)?;
        attempts += 1;
        match report.untested(plan) {
            None => return Ok(report),
            Some(reason) if attempts == ATTEMPTS => return Err(reason.into()),
            Some(reason) => println!("once more: {reason}\n"),
        }
    }
}

/// Runs the correct backend with every fault, and checks that each mutant is caught.
fn quick(processes: usize) -> Result<(), Box<dyn Error>> {
    let sound = |near, stale| {
        let faults = Fault::ALL.to_vec();
        one_run(&Plan { seconds: QUICK_SECONDS, processes, faults, mutant: None, near, stale })
    };
    let report = sound(false, false)?;
    sound(true, false)?;
    sound(false, true)?;
    for mutant in Mutant::ALL {
        let (stale, mutant) = (mutant.needs_stale_values(), Some(mutant));
        let (seconds, faults) = (QUICK_MUTANT_SECONDS, Vec::new());
        one_run(&Plan { seconds, processes, faults, mutant, near: false, stale })?;
    }
    println!("no stale answers, and each mutant was caught:\n{}", report.summary());
    Ok(())
}
