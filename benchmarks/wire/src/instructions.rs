//! Instruction counts by valgrind, without those of the kernel.

use std::error::Error;
use std::process::Command;

use crate::figures::Instructions;
use crate::load::Load;
use crate::subject;

const FEW: usize = 4096;
const MANY: usize = 4 * FEW;

/// Returns the instructions of one call: the difference between many calls and few, divided by
/// their number, so that start and end are not counted.
pub(crate) fn count(
    subject: &'static str,
    load: Load,
    port: u16,
) -> Result<Instructions, Box<dyn Error>> {
    let more = run(subject, load, port, MANY)? - run(subject, load, port, FEW)?;
    Ok(Instructions { subject, load, per_call: more / (MANY - FEW) as f64 })
}

fn run(subject: &str, load: Load, port: u16, calls: usize) -> Result<f64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(subject::arguments(subject, load, port, calls))
        .output()
        .map_err(|error| {
            format!("failed to run valgrind ({error}): install it with apt-get install valgrind")
        })?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{subject} failed under valgrind: {text}").into());
    }
    let number = text.split("Collected :").nth(1).and_then(|rest| rest.split_whitespace().next());
    let number = number.ok_or_else(|| format!("no count in the output of valgrind:\n{text}"))?;
    Ok(number.parse()?)
}
