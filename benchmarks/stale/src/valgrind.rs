//! Instruction counts by valgrind, without those of the kernel.

use std::error::Error;
use std::process::Command;

use hotshelf_testkit::RedisServer;

use crate::subjects::Subject;

const FEW: usize = 500;
const MANY: usize = 4 * FEW;

/// Returns the instructions of a call. Those of start and end are not counted.
pub(crate) fn instructions(server: &RedisServer, subject: Subject) -> Result<f64, Box<dyn Error>> {
    let more = count(server, subject, MANY)? - count(server, subject, FEW)?;
    Ok(more / (MANY - FEW) as f64)
}

fn count(server: &RedisServer, subject: Subject, calls: usize) -> Result<f64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(subject.arguments(server.port(), calls))
        .output()
        .map_err(|error| {
            format!("failed to run valgrind ({error}): install it with apt-get install valgrind")
        })?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{} failed under valgrind: {text}", subject.name()).into());
    }
    let number = text.split("Collected :").nth(1).and_then(|rest| rest.split_whitespace().next());
    let number = number.ok_or_else(|| format!("no count in the output of valgrind:\n{text}"))?;
    Ok(number.parse()?)
}
