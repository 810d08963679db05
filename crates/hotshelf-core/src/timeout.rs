//! Timeouts that don't count the time during which the process itself was too busy to wait.
//!
//! A blocked thread or event loop reads no replies, however fast the server is. So a timeout
//! runs in steps, and a step counts with little more than its length at most, and with little
//! if it is noticed much too late: a server gets the whole time to reply in.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::runtime::{BoxFuture, Moment, Runtime};

/// The longest step. A process that was busy loses as much of a timeout at most.
pub const STEP: Duration = Duration::from_millis(50);

/// How late a timer may be for reasons other than a busy process: its resolution, other
/// processes on the same machine.
pub const TOLERANCE: Duration = Duration::from_millis(5);

/// A timeout in steps.
pub struct Timeout {
    left: Duration,
    step: Option<Step>,
}

struct Step {
    began: Moment,
    length: Duration,
    timer: BoxFuture<'static, ()>,
}

impl Timeout {
    /// Creates a timeout that begins when it is first polled.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self { left: limit, step: None }
    }

    /// Polls the timeout; ready when its time is over.
    pub fn poll(&mut self, runtime: &dyn Runtime, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let step = self.step.get_or_insert_with(|| {
                let length = self.left.min(STEP);
                Step { began: runtime.now(), length, timer: runtime.sleep(length) }
            });
            ready!(step.timer.as_mut().poll(context));
            self.end_step(runtime);
            if self.left.is_zero() {
                return Poll::Ready(());
            }
        }
    }

    /// Runs a future until the timeout is over. Returns `None` then.
    pub async fn run<F: Future>(&mut self, runtime: &dyn Runtime, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            // Only a future that has to wait needs a timer.
            self.poll(runtime, context).map(|()| None)
        })
        .await
    }

    /// Returns the remaining time.
    #[must_use]
    pub fn left(mut self, runtime: &dyn Runtime) -> Duration {
        self.end_step(runtime);
        self.left
    }

    fn end_step(&mut self, runtime: &dyn Runtime) {
        if let Some(step) = self.step.take() {
            let took = runtime.now().since(step.began);
            // In a process that was busy for long, a reply that has arrived may
            // not have been read yet. The driver's own deadline passes nevertheless.
            let was_busy = took > step.length + STEP / 2;
            let took = if was_busy { TOLERANCE } else { took.min(step.length + TOLERANCE) };
            self.left = self.left.saturating_sub(took);
        }
    }
}

/// Runs a future for at most `limit`. Returns `None` on a timeout.
pub async fn within<F: Future>(
    runtime: &dyn Runtime,
    limit: Duration,
    future: F,
) -> Option<F::Output> {
    Timeout::new(limit).run(runtime, future).await
}

impl fmt::Debug for Timeout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Timeout").field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt;
    use futures_util::task::noop_waker;

    use super::*;

    /// A clock that is set by hand. Timers are due when it has reached them.
    #[derive(Clone, Debug, Default)]
    struct Clock(std::sync::Arc<Mutex<Duration>>);

    impl Clock {
        fn advance(&self, millis: u64) {
            *self.0.lock().unwrap() += Duration::from_millis(millis);
        }
    }

    impl Runtime for Clock {
        fn now(&self) -> Moment {
            Moment::after_start(*self.0.lock().unwrap())
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            let (clock, due) = (self.clone(), self.now() + duration);
            Box::pin(poll_fn(move |_| match clock.now() >= due {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }))
        }

        fn spawn(&self, _: BoxFuture<'static, ()>) {}

        fn random(&self) -> u64 {
            0
        }
    }

    fn poll(timeout: &mut Timeout, clock: &Clock) -> bool {
        timeout.poll(clock, &mut Context::from_waker(&noop_waker())).is_ready()
    }

    #[test]
    fn ends_after_its_time() {
        let (clock, mut timeout) = (Clock::default(), Timeout::new(Duration::from_millis(120)));
        for _ in 0..12 {
            assert!(!poll(&mut timeout, &clock));
            clock.advance(10);
        }
        assert!(poll(&mut timeout, &clock));
    }

    #[test]
    fn busy_time_counts_little() {
        let (clock, mut timeout) = (Clock::default(), Timeout::new(Duration::from_millis(120)));
        assert!(!poll(&mut timeout, &clock));
        clock.advance(10_000);
        assert!(!poll(&mut timeout, &clock));
        assert_eq!(timeout.left(&clock), Duration::from_millis(115));
    }

    #[test]
    fn ready_future_needs_no_timer() {
        let clock = Clock::default();
        let ready = within(&clock, Duration::ZERO, std::future::ready(7));
        assert_eq!(ready.now_or_never(), Some(Some(7)));
        let never = within(&clock, Duration::ZERO, std::future::pending::<()>());
        assert_eq!(never.now_or_never(), Some(None));
    }
}
