//! Selection of seeds, and reports of failures.

use std::ops::Range;

/// Runs one seed only: `HOTSHELF_SEED=17`.
const SEED: &str = "HOTSHELF_SEED";

/// Runs this many seeds instead of the usual number: `HOTSHELF_SEEDS=1000000`.
const SEEDS: &str = "HOTSHELF_SEEDS";

/// Returns the seeds of a test: those of the environment, or `usual` of them.
pub(crate) fn seeds(usual: u64) -> Range<u64> {
    match (number(SEED), number(SEEDS)) {
        (Some(seed), _) => seed..seed + 1,
        (None, seeds) => 0..seeds.unwrap_or(usual),
    }
}

/// Returns the setting that runs a seed again.
pub(crate) fn replay(seed: u64) -> String {
    format!("{SEED}={seed}")
}

/// Runs an input, and prints it if that panics.
pub(crate) fn announced(name: &str, input: &[u8], target: fn(&[u8])) {
    let announced = Announced { name, input };
    target(input);
    drop(announced);
}

struct Announced<'a> {
    name: &'a str,
    input: &'a [u8],
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} failed, with b\"{}\"", self.name, self.input.escape_ascii());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test reads the environment")]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("invalid {name}={text:?}: use a number")))
}
