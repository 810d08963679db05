//! Tasks of an executor.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};

use hotshelf_core::BoxFuture;
use hotshelf_core::sync::Mutex;

use super::Executor;
use crate::fork::Process;

/// A future that runs until it completes or is abandoned.
pub(crate) struct Task {
    /// `None` after it has completed or was abandoned.
    future: Mutex<Option<BoxFuture<'static, ()>>>,
    /// Whether there is a future. The lock is held while it is polled, by code that may ask.
    running: Arc<AtomicBool>,
    queued: AtomicBool,
    executor: Weak<Executor>,
    process: Process,
}

impl Task {
    pub(crate) fn new(executor: &Arc<Executor>, future: BoxFuture<'static, ()>) -> Arc<Self> {
        let (future, queued) = (Mutex::new(Some(future)), AtomicBool::new(false));
        let (executor, process) = (Arc::downgrade(executor), Process::current());
        let running = Arc::new(AtomicBool::new(true));
        Arc::new(Self { future, running, queued, executor, process })
    }

    /// Polls the future. A wake during the poll queues the task again.
    pub(crate) fn run(self: &Arc<Self>) {
        self.queued.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(self));
        let mut future = self.future.lock();
        let is_complete = future.as_mut().is_some_and(|future| {
            future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        });
        let completed = if is_complete { future.take() } else { None };
        if completed.is_some() {
            self.running.store(false, Ordering::Relaxed);
        }
        drop(future);
        // Dropping it may wake or drop other tasks, so not under the lock.
        drop(completed);
    }

    /// Returns a flag that is set until the future has completed or was abandoned.
    pub(super) fn running(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.running)
    }

    /// Drops the future. It may be called on any thread.
    pub(crate) fn abandon(&self) {
        let future = self.future.lock().take();
        self.running.store(false, Ordering::Relaxed);
        if let Some(future) = future {
            self.drop_on_its_loop(future);
        }
    }

    /// Drops a value that belongs to the same loop. Its cleanup is sent over the loop's own
    /// connections, after the requests sent there before.
    pub(crate) fn drop_on_its_loop<T>(&self, value: T) {
        if self.process.is_parent() {
            return std::mem::forget(value);
        }
        let executor = self.executor.upgrade();
        let entered = executor.as_ref().map(Executor::enter_without_polling);
        drop(value);
        drop(entered);
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel)
            && let Some(executor) = self.executor.upgrade()
        {
            executor.push(self);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.abandon();
    }
}
