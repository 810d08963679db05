//! A small executor for one event loop: it runs the engine's futures on the loop's own
//! thread, between the loop's other callbacks.
//!
//! Nothing in here depends on Python. The loop reports ready sockets and due timers
//! (`crate::driver`), and is notified if there is more to do.

mod io;
mod task;
mod timers;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use hotshelf_core::runtime::RuntimeId;
use hotshelf_core::{BoxFuture, Moment};
use mio::{Events, Poll};

use hotshelf_core::sync::Mutex;
pub(crate) use io::{Source, Watched};
pub(crate) use task::Task;
pub(crate) use timers::Sleep;
use timers::Timers;

/// The number of executors so far.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// The maximum number of tasks to run before returning to the event loop.
const MAX_TASKS_PER_TURN: usize = 4096;

thread_local! {
    /// The executor that this thread currently runs for.
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

#[derive(Clone)]
struct Current {
    executor: Arc<Executor>,
    /// Whether this thread will also run the tasks that become ready.
    polls: bool,
}

/// Runs futures for one event loop.
pub(crate) struct Executor {
    id: RuntimeId,
    ready: Mutex<Ready>,
    timers: Mutex<Timers>,
    sockets: io::Sockets,
    /// The background tasks, which are abandoned when the loop is closed.
    background: Mutex<Background>,
    closed: AtomicBool,
    /// Wakes the loop, from any thread.
    waker: mio::Waker,
}

#[derive(Default)]
struct Background {
    /// The tasks, and whether they run. To ask a task itself could drop it under the lock.
    tasks: Vec<(Weak<Task>, Arc<AtomicBool>)>,
    /// The number of tasks at which completed ones are removed.
    limit: usize,
}

#[derive(Default)]
struct Ready {
    tasks: VecDeque<Arc<Task>>,
    /// Whether the waker was used since the last turn.
    notified: bool,
}

impl Executor {
    /// Creates an executor, and the `Poll` that its loop has to watch.
    pub(crate) fn new() -> Result<(Arc<Self>, Poll)> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), io::WAKER)?;
        let executor = Self {
            id: RuntimeId::new(COUNT.fetch_add(1, Ordering::Relaxed)),
            ready: Mutex::default(),
            timers: Mutex::default(),
            sockets: io::Sockets::new(poll.registry().try_clone()?),
            background: Mutex::default(),
            closed: AtomicBool::new(false),
            waker,
        };
        Ok((Arc::new(executor), poll))
    }

    /// Returns the executor that this thread runs for.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(|current| Some(Arc::clone(&current.as_ref()?.executor)))
    }

    /// Returns the identifier of the executor that this thread runs for.
    pub(crate) fn current_id() -> Option<RuntimeId> {
        CURRENT.with_borrow(|current| current.as_ref().map(|current| current.executor.id))
    }

    /// Returns the identifier of the executor.
    pub(crate) fn id(&self) -> RuntimeId {
        self.id
    }

    /// Sets this as the current executor of the thread until the guard is dropped. The thread
    /// has to run the tasks that become ready: they don't wake the loop.
    pub(crate) fn enter(self: &Arc<Self>) -> Entered {
        self.become_current(true)
    }

    /// Sets this as the current executor of the thread until the guard is dropped, without
    /// running it: tasks that are woken or spawned wake the loop.
    pub(crate) fn enter_without_polling(self: &Arc<Self>) -> Entered {
        self.become_current(false)
    }

    fn become_current(self: &Arc<Self>, polls: bool) -> Entered {
        let polls = polls || self.is_polled_here();
        Entered { previous: CURRENT.replace(Some(Current { executor: Arc::clone(self), polls })) }
    }

    /// Returns `true` if this thread runs the tasks that become ready.
    fn is_polled_here(self: &Arc<Self>) -> bool {
        CURRENT.with_borrow(|current| {
            current.as_ref().is_some_and(|it| it.polls && Arc::ptr_eq(&it.executor, self))
        })
    }

    /// Spawns a future. It is first polled in the next turn, and dropped when the loop is
    /// closed.
    pub(crate) fn spawn(self: &Arc<Self>, future: BoxFuture<'static, ()>) {
        let task = Task::new(self, future);
        let mut background = self.background.lock();
        if background.tasks.len() >= background.limit {
            background.tasks.retain(|(_, running)| running.load(Ordering::Relaxed));
            background.limit = (2 * background.tasks.len()).max(64);
        }
        background.tasks.push((Arc::downgrade(&task), task.running()));
        drop(background);
        self.push(task);
    }

    /// Returns `true` if the loop is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Abandons all background tasks, and with them the connections, since the loop is closed.
    /// Ready tasks run a last time before, so that pending requests are sent if possible.
    pub(crate) fn shut_down(self: &Arc<Self>, now: Moment) {
        let entered = self.enter();
        for _ in 0..4 {
            self.run_ready();
            self.end_timers(now);
        }
        self.closed.store(true, Ordering::Release);
        let background = std::mem::take(&mut *self.background.lock());
        for task in background.tasks.iter().filter_map(|(task, _)| task.upgrade()) {
            task.abandon();
        }
        let tasks = std::mem::take(&mut self.ready.lock().tasks);
        let timers = std::mem::take(&mut *self.timers.lock());
        self.sockets.clear();
        // Drop what other tasks wait for: they will never run again.
        drop((tasks, timers));
        drop(entered);
    }

    /// Returns the sockets of the executor.
    pub(crate) fn sockets(&self) -> &io::Sockets {
        &self.sockets
    }

    /// Updates the readiness of the sockets.
    pub(crate) fn take_readiness(&self, poll: &mut Poll, events: &mut Events) -> Result<()> {
        match poll.poll(events, Some(std::time::Duration::ZERO)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => self.mark_ready(events),
        }
        Ok(())
    }

    /// Marks the sockets of events as ready.
    pub(crate) fn mark_ready(&self, events: &Events) {
        self.sockets.mark_ready(events);
    }

    /// Wakes the tasks whose timers are due.
    pub(crate) fn end_timers(&self, now: Moment) {
        // Wakers may run any code, so not under the lock.
        let due = self.timers.lock().take_due(now);
        for waker in due {
            waker.wake();
        }
    }

    /// Runs all ready tasks, until it is the loop's turn.
    pub(crate) fn run_ready(&self) {
        self.ready.lock().notified = false;
        for _ in 0..MAX_TASKS_PER_TURN {
            let Some(task) = self.ready.lock().tasks.pop_front() else { return };
            task.run();
        }
    }

    /// Returns `true` if there are ready tasks.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.lock().tasks.is_empty()
    }

    /// Returns the time at which the next timer is due.
    pub(crate) fn next_timer(&self) -> Option<Moment> {
        self.timers.lock().next()
    }

    /// Wakes the thread that waits for timers, if it is another one: there is an earlier one.
    fn note_timer(self: &Arc<Self>) {
        if !self.is_polled_here() {
            // As in `push`.
            let _ = self.waker.wake();
        }
    }

    fn push(self: &Arc<Self>, task: Arc<Task>) {
        if self.is_closed() {
            return;
        }
        let polled_here = self.is_polled_here();
        let mut ready = self.ready.lock();
        ready.tasks.push_back(task);
        let wake = !polled_here && !std::mem::replace(&mut ready.notified, !polled_here);
        drop(ready);
        if wake {
            // It fails only if the system is out of resources; the next turn runs the task.
            let _ = self.waker.wake();
        }
    }
}

/// Restores the previous executor of the thread on drop.
pub(crate) struct Entered {
    previous: Option<Current>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.previous.take());
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Executor").finish_non_exhaustive()
    }
}
