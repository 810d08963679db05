//! Runs [`fuzz::pipeline`] with inputs of libFuzzer.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::pipeline(input));

/// Without libFuzzer, runs the files given as arguments.
#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    fuzz::run_files(fuzz::pipeline)
}
