//! Inputs from files.

use std::io;

/// Runs the files given as arguments, such as the inputs that libFuzzer has saved on a
/// failure.
///
/// # Errors
/// If a file cannot be read.
pub fn run_files(target: fn(&[u8])) -> io::Result<()> {
    std::env::args_os().skip(1).try_for_each(|file| std::fs::read(file).map(|input| target(&input)))
}
