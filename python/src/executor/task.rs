//! A future that is run to its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};

use hotshelf_core::BoxFuture;
use hotshelf_core::sync::Mutex;

use super::Executor;
use crate::fork::Process;

/// A future that is run to its end, or until somebody drops it.
pub(crate) struct Task {
    /// `None` once it has ended.
    future: Mutex<Option<BoxFuture<'static, ()>>>,
    queued: AtomicBool,
    executor: Weak<Executor>,
    process: Process,
}

impl Task {
    pub(crate) fn new(executor: &Arc<Executor>, future: BoxFuture<'static, ()>) -> Arc<Self> {
        let (future, queued) = (Mutex::new(Some(future)), AtomicBool::new(false));
        let (executor, process) = (Arc::downgrade(executor), Process::this());
        Arc::new(Self { future, queued, executor, process })
    }

    /// Polls the future. A wake that comes meanwhile queues the task again.
    pub(crate) fn run(self: &Arc<Self>) {
        self.queued.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(self));
        let mut future = self.future.lock();
        let ended = future.as_mut().is_some_and(|future| {
            future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        });
        let ended = if ended { future.take() } else { None };
        drop(future);
        // What it held may wake or drop others: not under the lock.
        drop(ended);
    }

    /// Says whether the future is still there.
    pub(crate) fn is_under_way(&self) -> bool {
        self.future.lock().is_some()
    }

    /// Drops the future where it stands, on whatever thread.
    pub(crate) fn abandon(&self) {
        let future = self.future.lock().take();
        if let Some(future) = future {
            self.drop_on_its_loop(future);
        }
    }

    /// Drops something that belongs to the same loop. What it leaves to be cleaned up goes
    /// over the loop's own connections, behind what was sent there before.
    pub(crate) fn drop_on_its_loop<T>(&self, thing: T) {
        if self.process.is_gone() {
            return std::mem::forget(thing);
        }
        let executor = self.executor.upgrade();
        let standing_in = executor.as_ref().map(Executor::stand_in);
        drop(thing);
        drop(standing_in);
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
