//! Inputs out of files.

use std::io;

/// Runs the files that the command line names: what libFuzzer has kept of a failure.
///
/// # Errors
/// If a file can't be read.
pub fn run_files(target: fn(&[u8])) -> io::Result<()> {
    std::env::args_os().skip(1).try_for_each(|file| std::fs::read(file).map(|input| target(&input)))
}
