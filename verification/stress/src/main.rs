//! Processes that read, load, write and invalidate against a real server, while faults
//! are done to it and to them: is anybody given what was invalidated before they asked?
//!
//! The parent starts two servers, one for the cache and one for the database, which no
//! fault reaches. Its children ([`worker`]) write down each operation with its times on
//! the clock that all processes share; the parent does the faults ([`faults`]) and reads
//! the merged history ([`history`]). A mutant of the backend ([`mutant`]) must show
//! stale answers, or the run proves nothing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod arguments;
mod clock;
mod faults;
mod history;
mod mutant;
mod run;
mod worker;

use std::error::Error;
use std::process::ExitCode;

use arguments::Command;
use faults::Fault;
use mutant::Mutant;
use run::Plan;

/// How long the parts of `--quick` take.
const QUICK_SECONDS: u64 = 9;
const QUICK_MUTANT_SECONDS: u64 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = arguments::parse(&arguments).and_then(|command| match command {
        Command::Work(job) => worker::run(&job),
        Command::Run(plan) => one_run(&plan),
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

fn one_run(plan: &Plan) -> Result<(), Box<dyn Error>> {
    println!("{plan}");
    let report = run::run(plan)?;
    println!("{report}");
    report.verdict(plan.mutant)
}

/// Runs the sound backend with every fault, and shows that each mutant would be caught.
fn quick(processes: usize) -> Result<(), Box<dyn Error>> {
    let sound =
        Plan { seconds: QUICK_SECONDS, processes, faults: Fault::ALL.to_vec(), mutant: None };
    println!("{sound}");
    let report = run::run(&sound)?;
    println!("{report}\n");
    report.verdict(None)?;
    for mutant in Mutant::ALL {
        let mutant = Some(mutant);
        let broken = Plan { seconds: QUICK_MUTANT_SECONDS, processes, faults: Vec::new(), mutant };
        println!("{broken}");
        let report = run::run(&broken)?;
        println!("{report}\n");
        report.verdict(mutant)?;
    }
    println!("sound, and each mutant was caught:\n{}", report.summary());
    Ok(())
}
