//! Instruction counts by valgrind.

use std::error::Error;
use std::process::Command;

use crate::Subject;

/// Returns the instructions of one run: the difference between many runs and few, divided by
/// their number, so that start and end are not counted.
pub(crate) fn per_run(subject: Subject) -> Result<f64, Box<dyn Error>> {
    const FEW: u32 = 1000;
    const MANY: u32 = 11_000;
    let more = count(subject, MANY)? - count(subject, FEW)?;
    Ok(more / f64::from(MANY - FEW))
}

fn count(subject: Subject, runs: u32) -> Result<f64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["run", subject.name(), &runs.to_string()])
        .output()
        .map_err(|error| {
            format!("failed to run valgrind ({error}): install it with apt-get install valgrind")
        })?;
    let text = String::from_utf8_lossy(&output.stderr);
    let number = text.split("Collected :").nth(1).and_then(|rest| rest.split_whitespace().next());
    let number = number.ok_or_else(|| format!("no count in the output of valgrind:\n{text}"))?;
    Ok(number.parse()?)
}
