//! The clock of all processes, random numbers, and tokio as the engine's runtime.

use std::time::Duration;

use hotshelf_core::{BoxFuture, Moment, Runtime};
use rustix::time::{ClockId, clock_gettime};

/// Returns the nanoseconds of `CLOCK_MONOTONIC`, which all processes share.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Returns a random number below `bound`.
pub(crate) fn below(bound: u64) -> u64 {
    random() % bound
}

/// Returns a random duration of at most `longest` milliseconds.
pub(crate) fn up_to_millis(longest: u64) -> Duration {
    Duration::from_micros(below(longest * 1000 + 1))
}

/// Suspends a task.
#[expect(clippy::disallowed_methods, reason = "a real server needs real time")]
pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Blocks the thread.
#[expect(clippy::disallowed_methods, reason = "a real server needs real time")]
pub(crate) fn wait(time: Duration) {
    std::thread::sleep(time);
}

fn random() -> u64 {
    getrandom::u64().expect("no randomness from the operating system")
}

/// tokio as the runtime of an engine.
#[derive(Debug)]
pub(crate) struct RealTime;

impl Runtime for RealTime {
    fn now(&self) -> Moment {
        Moment::after_start(Duration::from_nanos(now()))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(pause(duration))
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        tokio::spawn(future);
    }

    fn random(&self) -> u64 {
        random()
    }
}
