//! Command line arguments.

use std::error::Error;
use std::fmt::Display;
use std::str::FromStr;

use crate::faults::Fault;
use crate::mutant::Mutant;
use crate::run::Plan;
use crate::worker::Job;

const USAGE: &str = "usage: scripts/stress [--quick] [--near] [--stale] [--seconds N] [--processes N] \
                     [--fault NAME|none]... [--break NAME]";

/// The minimum number of processes: one is stopped for long, another for short times.
const FEWEST_PROCESSES: usize = 2;

/// The command to execute.
#[derive(Debug)]
pub(crate) enum Command {
    /// One run.
    Run(Plan),
    /// A short run with every fault, and one of each mutant.
    Quick { processes: usize },
    /// The work of one process of a run.
    Work(Job),
}

/// Reads the command line.
pub(crate) fn parse(arguments: &[String]) -> Result<Command, Box<dyn Error>> {
    if let Some(("work", rest)) = arguments.split_first().map(|(first, rest)| (&**first, rest)) {
        return Ok(Command::Work(Job::from_arguments(rest)?));
    }
    let mut plan = Plan {
        seconds: 30,
        processes: 4,
        faults: Vec::new(),
        mutant: None,
        near: false,
        stale: false,
    };
    let (mut quick, mut chosen) = (false, false);
    let mut words = arguments.iter();
    while let Some(option) = words.next() {
        if option == "--quick" {
            quick = true;
            continue;
        }
        if option == "--near" {
            plan.near = true;
            continue;
        }
        if option == "--stale" {
            plan.stale = true;
            continue;
        }
        let value = words.next().ok_or(USAGE)?;
        match option.as_str() {
            "--seconds" => plan.seconds = number(option, value)?,
            "--processes" => plan.processes = number(option, value)?,
            "--fault" => {
                chosen = true;
                plan.faults.extend((value != "none").then(|| Fault::named(value)).transpose()?);
            }
            "--break" => plan.mutant = Some(Mutant::named(value)?),
            _ => return Err(USAGE.into()),
        }
    }
    if plan.processes < FEWEST_PROCESSES {
        return Err(format!(
            "invalid --processes {}: use at least {FEWEST_PROCESSES}",
            plan.processes
        )
        .into());
    }
    if quick {
        return Ok(Command::Quick { processes: plan.processes });
    }
    // A mutant must be caught because of itself, not because of a fault.
    if !chosen && plan.mutant.is_none() {
        plan.faults = Fault::ALL.to_vec();
    }
    Ok(Command::Run(plan))
}

fn number<T: FromStr<Err: Display>>(option: &str, value: &str) -> Result<T, Box<dyn Error>> {
    value.parse().map_err(|error| format!("{option} {value}: {error}").into())
}

/// Returns the item with a name, or an error that lists the valid names.
pub(crate) fn find<T: Copy + 'static>(
    what: &str,
    all: &'static [T],
    name_of: impl Fn(T) -> &'static str,
    name: &str,
) -> Result<T, Box<dyn Error>> {
    let found = all.iter().copied().find(|one| name_of(*one) == name);
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|one| name_of(*one)).collect();
        format!("invalid {what} {name:?}: use one of {}", names.join(", ")).into()
    })
}
