//! Gives libFuzzer's inputs to [`fuzz::decoder`].
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::decoder(input));

/// Without libFuzzer, runs the files that are named.
#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    fuzz::run_files(fuzz::decoder)
}
