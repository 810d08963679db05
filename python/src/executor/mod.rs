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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use hotshelf_core::{BoxFuture, Moment};
use mio::{Events, Poll};

use hotshelf_core::sync::Mutex;
pub(crate) use io::{Source, Watched};
pub(crate) use task::Task;
pub(crate) use timers::Sleep;
use timers::Timers;

/// How many tasks are run before the event loop has its turn again.
const MOST_IN_A_TURN: usize = 4096;

thread_local! {
    /// The executor on whose behalf this thread runs right now.
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

#[derive(Clone)]
struct Current {
    executor: Arc<Executor>,
    /// Whether who runs here also looks for what has become ready.
    looks: bool,
}

/// Runs futures for one event loop.
pub(crate) struct Executor {
    ready: Mutex<Ready>,
    timers: Mutex<Timers>,
    sockets: io::Sockets,
    /// What runs in the background, and is to end with the loop.
    background: Mutex<Background>,
    closed: AtomicBool,
    /// Wakes the loop out of its sleep, from any thread.
    bell: mio::Waker,
}

#[derive(Default)]
struct Background {
    tasks: Vec<Weak<Task>>,
    /// How many there may be before those that have ended are looked for.
    room: usize,
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
            background: Mutex::default(),
            closed: AtomicBool::new(false),
            bell,
        };
        Ok((Arc::new(executor), poll))
    }

    /// Gives the executor that this thread runs for.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(|current| Some(Arc::clone(&current.as_ref()?.executor)))
    }

    /// From here to the guard's end this thread runs for the executor: what is woken
    /// meanwhile is found by whoever entered, and needs no bell.
    pub(crate) fn enter(self: &Arc<Self>) -> Entered {
        self.become_current(true)
    }

    /// From here to the guard's end this thread acts for the executor, without running it:
    /// what is woken or spawned meanwhile rings the bell.
    pub(crate) fn stand_in(self: &Arc<Self>) -> Entered {
        self.become_current(false)
    }

    fn become_current(self: &Arc<Self>, looks: bool) -> Entered {
        let looks = looks || self.is_looked_after();
        Entered { before: CURRENT.replace(Some(Current { executor: Arc::clone(self), looks })) }
    }

    /// Says whether this thread finds what becomes ready.
    fn is_looked_after(self: &Arc<Self>) -> bool {
        CURRENT.with_borrow(|current| {
            current.as_ref().is_some_and(|it| it.looks && Arc::ptr_eq(&it.executor, self))
        })
    }

    /// Runs a future to its end, from the next turn on, or until the loop is closed.
    pub(crate) fn spawn(self: &Arc<Self>, future: BoxFuture<'static, ()>) {
        let task = Task::new(self, future);
        let mut background = self.background.lock();
        if background.tasks.len() >= background.room {
            background.tasks.retain(|task| task.upgrade().is_some_and(|it| it.is_under_way()));
            background.room = (2 * background.tasks.len()).max(64);
        }
        background.tasks.push(Arc::downgrade(&task));
        drop(background);
        self.push(task);
    }

    /// Whether the loop is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends all that runs in the background, and with it the connections: the loop is closed.
    /// What is ready is run once more, so that what was to be sent goes out if it can.
    pub(crate) fn shut_down(self: &Arc<Self>, now: Moment) {
        let entered = self.enter();
        for _ in 0..4 {
            self.run(now);
        }
        self.closed.store(true, Ordering::Release);
        let background = std::mem::take(&mut *self.background.lock());
        for task in background.tasks.iter().filter_map(Weak::upgrade) {
            task.abandon();
        }
        let tasks = std::mem::take(&mut self.ready.lock().tasks);
        let timers = std::mem::take(&mut *self.timers.lock());
        self.sockets.forget_all();
        // What waits for none of these waits in vain, too.
        drop((tasks, timers));
        drop(entered);
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
        self.ready.lock().rung = false;
        // Wakers run code of their own: none of them under the lock.
        let due = self.timers.lock().take_due(now);
        for waker in due {
            waker.wake();
        }
        for _ in 0..MOST_IN_A_TURN {
            let Some(task) = self.ready.lock().tasks.pop_front() else { return };
            task.run();
        }
    }

    /// Says whether there is something to run.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.lock().tasks.is_empty()
    }

    /// Says when the next timer is due.
    pub(crate) fn next_timer(&self) -> Option<Moment> {
        self.timers.lock().next()
    }

    fn push(self: &Arc<Self>, task: Arc<Task>) {
        if self.is_closed() {
            return;
        }
        let entered = self.is_looked_after();
        let mut ready = self.ready.lock();
        ready.tasks.push_back(task);
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
    before: Option<Current>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Executor").finish_non_exhaustive()
    }
}
