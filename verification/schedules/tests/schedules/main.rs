//! The core under many schedules of threads.
//!
//! The simulation runs the engine on one thread, and switches between calls where they wait.
//! Here every caller has its own thread, and shuttle switches at each lock: between a look-up
//! in the flights and the action that follows. (Loom does not fit: it requires its own
//! versions of all channels and atomics, and tries every schedule, of which these scenarios
//! have too many.)
//!
//! `scripts/schedules` runs it. A schedule that fails is printed, and
//! `HOTSHELF_SCHEDULE=…` runs it again.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests")]

mod flights;
mod near;
mod tracking;

use std::time::Duration;

use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler};
use shuttle::{Config, Runner};

/// Runs a scenario under random schedules, and under schedules that favour one thread for long
/// (Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs",
/// ASPLOS 2010).
fn under_many_schedules(scenario: fn()) {
    let mut config = Config::new();
    config.stack_size = STACK;
    // The orders of atomics are not explored: all are sequentially consistent.
    config.silence_warnings = true;
    if let Ok(schedule) = std::env::var("HOTSHELF_SCHEDULE") {
        let replay = ReplayScheduler::new_from_encoded(&schedule);
        Runner::new(replay, config).run(scenario);
        return;
    }
    let count = std::env::var("HOTSHELF_SCHEDULES").map_or(1000, |text| text.parse().unwrap());
    Runner::new(RandomScheduler::new(count), config.clone()).run(scenario);
    Runner::new(PctScheduler::new(SWITCHES, count), config).run(scenario);
}

/// The stack size of a thread: shuttle's default is too small without optimization.
const STACK: usize = 1 << 20;

/// The number of switches between threads that may be needed to reveal a bug.
const SWITCHES: usize = 3;

const LONG: Duration = Duration::from_secs(60);

/// Yields `count` times.
async fn turns(count: u32) {
    for _ in 0..count {
        shuttle::future::yield_now().await;
    }
}

fn up_to(count: u32) -> u32 {
    shuttle::rand::thread_rng().gen_range(0..=count)
}
