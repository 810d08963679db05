//! Tries servers and proxies, and prints the table of `docs/compatibility.md`.
//!
//! `compatibility [DOCUMENT]`: with a document, fails if it lacks one of the rows.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod deployment;
mod trial;

use std::process::ExitCode;

use deployment::Deployment;
use trial::Trial;

#[tokio::main]
async fn main() -> ExitCode {
    let document = std::env::args().nth(1);
    let known = document.map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let mut failed = false;
    println!("{}", trial::HEADER);
    for name in deployment::NAMES {
        let deployment = match Deployment::start(name) {
            Ok(Some(deployment)) => deployment,
            Ok(None) => {
                eprintln!("{name}: not installed, skipped");
                continue;
            }
            Err(error) => {
                eprintln!("{name}: {error}");
                failed = true;
                continue;
            }
        };
        let row = Trial::of(&deployment).await.row(name);
        println!("{row}");
        if known.as_ref().is_some_and(|known| !known.contains(&row)) {
            eprintln!("{name}: the document has another row");
            failed = true;
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
