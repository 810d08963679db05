//! Timers without a runtime: a thread that sleeps until the next one is due.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The timers of the process. The thread begins with the first of them.
static TIMERS: LazyLock<Arc<Timers>> = LazyLock::new(|| {
    let timers = Arc::new(Timers::default());
    let own = Arc::clone(&timers);
    let thread = std::thread::Builder::new().name("hotshelf-timer".into());
    if let Err(error) = thread.spawn(move || own.run()) {
        tracing::error!("can't start the timer thread ({error}); timeouts don't end");
    }
    timers
});

#[derive(Default)]
struct Timers {
    due: Mutex<Due>,
    changed: Condvar,
}

#[derive(Default)]
struct Due {
    wakers: BTreeMap<(Instant, u64), Waker>,
    last: u64,
}

/// Waits for a duration.
#[expect(clippy::disallowed_methods, reason = "this is the runtime")]
pub(super) fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
    let now = Instant::now();
    // Longer than anybody waits, where the sum overflows.
    let until = now.checked_add(duration).unwrap_or(now + Duration::from_secs(1 << 31));
    Sleep { until, id: None }
}

struct Sleep {
    until: Instant,
    /// Set by the first poll.
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    #[expect(clippy::disallowed_methods, reason = "this is the runtime")]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.until <= Instant::now() {
            return Poll::Ready(());
        }
        let mut due = TIMERS.lock();
        let id = *self.id.get_or_insert_with(|| {
            due.last += 1;
            due.last
        });
        due.wakers.insert((self.until, id), context.waker().clone());
        drop(due);
        TIMERS.changed.notify_one();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let waker = TIMERS.lock().wakers.remove(&(self.until, id));
            drop(waker);
        }
    }
}

impl Timers {
    fn lock(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the runtime")]
    fn run(&self) {
        let mut due = self.lock();
        loop {
            let now = Instant::now();
            let waiting = due.wakers.split_off(&(now, u64::MAX));
            let ended = std::mem::replace(&mut due.wakers, waiting);
            if ended.is_empty() {
                let next = due.wakers.first_key_value().map(|((until, _), _)| *until - now);
                let waited = self.changed.wait_timeout(due, next.unwrap_or(Duration::MAX));
                due = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            drop(due);
            ended.into_values().for_each(Waker::wake);
            due = self.lock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "measures a timer")]
    fn timers_end_outside_of_runtimes() {
        let began = Instant::now();
        let (sender, ended) = std::sync::mpsc::channel();
        let waker = futures_util::task::waker(Arc::new(Notify(sender)));
        let mut timer = Box::pin(sleep(Duration::from_millis(20)));
        assert!(timer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        ended.recv_timeout(Duration::from_secs(5)).unwrap();
        assert!(timer.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        assert!(began.elapsed() >= Duration::from_millis(20));
    }

    struct Notify(std::sync::mpsc::Sender<()>);

    impl futures_util::task::ArcWake for Notify {
        fn wake_by_ref(notify: &Arc<Self>) {
            notify.0.send(()).unwrap();
        }
    }
}
