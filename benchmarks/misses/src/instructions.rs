//! Instruction counts by valgrind, without those of the kernel.

use std::error::Error;
use std::process::Command;

use hotshelf_testkit::RedisServer;

use crate::load::Load;
use crate::subject::{SUBJECTS, Subject};

const FEW: usize = 1000;
const MANY: usize = 4 * FEW;

const CALLERS: usize = 100;

/// Prints the instructions of the client for each call.
pub(crate) fn print(server: &RedisServer) -> Result<(), Box<dyn Error>> {
    println!(
        "\nInstructions of the client for each call, without the kernel's, {CALLERS} callers\n"
    );
    println!("| | instructions | times |\n| --- | ---: | ---: |");
    let mut first = None;
    for subject in SUBJECTS {
        // The difference, so that start and end are not counted.
        let more = count(server, subject, MANY)? - count(server, subject, FEW)?;
        let each = more / (MANY - FEW) as f64;
        let times = each / *first.get_or_insert(each);
        println!("| {} | {each:.0} | {times:.2} |", subject.name());
    }
    Ok(())
}

fn count(server: &RedisServer, subject: Subject, calls: usize) -> Result<f64, Box<dyn Error>> {
    server.command(&["FLUSHALL"]);
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(subject.arguments(server.port(), Load { callers: CALLERS, calls }))
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
