//! A future that is run to its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Wake, Waker};

use hotshelf_core::BoxFuture;

use super::{Executor, lock};

/// A future that is run to its end, or until somebody drops it.
pub(crate) struct Task {
    /// `None` once it has ended.
    future: Mutex<Option<BoxFuture<'static, ()>>>,
    queued: AtomicBool,
    executor: Weak<Executor>,
}

impl Task {
    pub(crate) fn new(executor: &Arc<Executor>, future: BoxFuture<'static, ()>) -> Arc<Self> {
        let (future, queued) = (Mutex::new(Some(future)), AtomicBool::new(false));
        Arc::new(Self { future, queued, executor: Arc::downgrade(executor) })
    }

    /// Polls the future. A wake that comes meanwhile queues the task again.
    pub(crate) fn run(self: &Arc<Self>) {
        self.queued.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(self));
        let mut future = lock(&self.future);
        let ended = future.as_mut().is_some_and(|future| {
            future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        });
        let ended = if ended { future.take() } else { None };
        drop(future);
        // What it held may wake or drop others: not under the lock.
        drop(ended);
    }

    /// Drops the future where it stands.
    pub(crate) fn abandon(&self) {
        let future = lock(&self.future).take();
        drop(future);
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
