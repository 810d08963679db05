//! Helpers to wait for processes and to start several at the same time.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// Retries until an attempt succeeds. An error means "not yet"; the last one is returned after
/// the timeout.
#[expect(clippy::disallowed_methods, reason = "real processes take real time")]
pub(crate) fn wait_for<T>(
    what: &str,
    timeout: Duration,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(answer) => return Ok(answer),
            Err(error) if start.elapsed() > timeout => {
                let text = format!("timed out after {timeout:?} waiting for {what}: {error}");
                return Err(io::Error::new(error.kind(), text));
            }
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Runs each closure on its own thread and returns their results in the same order.
pub(crate) fn in_parallel<T, F>(closures: impl IntoIterator<Item = F>) -> io::Result<Vec<T>>
where
    T: Send,
    F: FnOnce() -> io::Result<T> + Send,
{
    thread::scope(|scope| {
        let threads: Vec<_> = closures.into_iter().map(|run| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a start panicked")).collect()
    })
}
