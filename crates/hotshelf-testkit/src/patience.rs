//! Waiting for what other processes do, and having them do it at the same time.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// Looks again and again until there is an answer. An error means "not yet"; the last one
/// is told when the time is over.
#[expect(clippy::disallowed_methods, reason = "real processes take real time")]
pub(crate) fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let start = Instant::now();
    loop {
        match look() {
            Ok(answer) => return Ok(answer),
            Err(error) if start.elapsed() > limit => {
                let text = format!("waited {limit:?} in vain for {what}: {error}");
                return Err(io::Error::new(error.kind(), text));
            }
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Runs each of the starts on a thread of its own and gives what they give, in their order.
pub(crate) fn side_by_side<T, F>(starts: impl IntoIterator<Item = F>) -> io::Result<Vec<T>>
where
    T: Send,
    F: FnOnce() -> io::Result<T> + Send,
{
    thread::scope(|scope| {
        let threads: Vec<_> = starts.into_iter().map(|start| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a start doesn't panic")).collect()
    })
}
