//! A small executor for one event loop: it runs the engine's futures on the loop's own
//! thread, between the loop's other callbacks.
//!
//! Nothing in here knows Python. The loop tells when sockets are ready and when time has
//! passed (`crate::driver`), and is told when there is more to do.

mod io;
mod task;
mod timers;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotshelf_core::{BoxFuture, Moment};
use mio::{Events, Poll};

pub(crate) use io::Source;
pub(crate) use task::Task;
pub(crate) use timers::Sleep;
use timers::Timers;

/// How many tasks are run before the event loop has its turn again.
const MOST_IN_A_TURN: usize = 4096;

thread_local! {
    /// The executor on whose behalf this thread runs right now.
    static CURRENT: RefCell<Option<Arc<Executor>>> = const { RefCell::new(None) };
}

/// Runs futures for one event loop.
pub(crate) struct Executor {
    ready: Mutex<Ready>,
    timers: Mutex<Timers>,
    sockets: io::Sockets,
    /// Wakes the loop out of its sleep, from any thread.
    bell: mio::Waker,
}

#[derive(Default)]
struct Ready {
    tasks: VecDeque<Arc<Task>>,
    /// Whether the bell was rung since the last turn.
    rung: bool,
}

impl Executor {
    /// Makes an executor, and what its loop has to watch.
    pub(crate) fn new() -> Result<(Arc<Self>, Poll)> {
        let poll = Poll::new()?;
        let bell = mio::Waker::new(poll.registry(), io::BELL)?;
        let executor = Self {
            ready: Mutex::default(),
            timers: Mutex::default(),
            sockets: io::Sockets::new(poll.registry().try_clone()?),
            bell,
        };
        Ok((Arc::new(executor), poll))
    }

    /// Gives the executor that this thread runs for.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// From here to the guard's end this thread runs for the executor: what is woken
    /// meanwhile is found by whoever entered, and needs no bell.
    pub(crate) fn enter(self: &Arc<Self>) -> Entered {
        Entered { before: CURRENT.replace(Some(Arc::clone(self))) }
    }

    /// Runs a future to its end, from the next turn on.
    pub(crate) fn spawn(self: &Arc<Self>, future: BoxFuture<'static, ()>) {
        self.push(Task::new(self, future));
    }

    pub(crate) fn sockets(&self) -> &io::Sockets {
        &self.sockets
    }

    /// Takes note of what the sockets are ready for.
    pub(crate) fn take_readiness(&self, poll: &mut Poll, events: &mut Events) -> Result<()> {
        poll.poll(events, Some(std::time::Duration::ZERO))?;
        self.sockets.note(events);
        Ok(())
    }

    /// Runs what is ready until nothing is, or the loop should have its turn.
    pub(crate) fn run(&self, now: Moment) {
        lock(&self.ready).rung = false;
        for waker in lock(&self.timers).take_due(now) {
            waker.wake();
        }
        for _ in 0..MOST_IN_A_TURN {
            let Some(task) = lock(&self.ready).tasks.pop_front() else { return };
            task.run();
        }
    }

    /// Says whether there is something to run.
    pub(crate) fn has_ready(&self) -> bool {
        !lock(&self.ready).tasks.is_empty()
    }

    /// Says when the next timer is due.
    pub(crate) fn next_timer(&self) -> Option<Moment> {
        lock(&self.timers).next()
    }

    fn push(self: &Arc<Self>, task: Arc<Task>) {
        let mut ready = lock(&self.ready);
        ready.tasks.push_back(task);
        let entered = CURRENT.with_borrow(|current| {
            current.as_ref().is_some_and(|current| Arc::ptr_eq(current, self))
        });
        let ring = !entered && !std::mem::replace(&mut ready.rung, !entered);
        drop(ready);
        if ring {
            // Only a system that is out of resources refuses, and the next turn runs it.
            let _ = self.bell.wake();
        }
    }
}

/// Ends what [`Executor::enter`] began.
pub(crate) struct Entered {
    before: Option<Arc<Executor>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

/// No code that could panic half-way runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Executor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Executor").finish_non_exhaustive()
    }
}
