//! Time that all processes share, chance, and tokio as the engine's runtime.

use std::time::Duration;

use hotshelf_core::{BoxFuture, Moment, Runtime};
use rustix::time::{ClockId, clock_gettime};

/// Gives the nanoseconds on `CLOCK_MONOTONIC`, which are the same in every process.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Gives a random number below `bound`.
pub(crate) fn below(bound: u64) -> u64 {
    random() % bound
}

/// Gives a random time of at most so many milliseconds.
pub(crate) fn up_to_millis(longest: u64) -> Duration {
    Duration::from_micros(below(longest * 1000 + 1))
}

/// Waits in a task.
#[expect(clippy::disallowed_methods, reason = "a real server lives in real time")]
pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Waits with the whole thread.
#[expect(clippy::disallowed_methods, reason = "a real server lives in real time")]
pub(crate) fn wait(time: Duration) {
    std::thread::sleep(time);
}

fn random() -> u64 {
    getrandom::u64().expect("the operating system has randomness")
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
