//! Runs operations for threads that have no event loop: those of `hotshelf.sync`.
//!
//! All of them share one executor, and so their connections. One thread at a time has the seat:
//! it runs the ready tasks and waits for sockets, for its own operation and for those of all
//! others. The others wait until their operations finish, or the seat is free. So an operation
//! costs its thread what it costs an event loop, and no switch to another thread. A thread of
//! this module takes the seat when no caller has had it for a while: it renews leases, reads
//! what servers report, and waits for timers.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread, park_timeout};
use std::time::Duration;

use futures_util::FutureExt;
use hotshelf_core::sync::Mutex;
use mio::{Events, Poll};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::driver::running_loop;
use crate::executor::{Entered, Executor, Task};
use crate::fork::{HeldOff, Process};
use crate::host::hand_over;
use crate::pending::Outcome;
use crate::runtime::now;
use crate::{finalization, fork, spans};

/// How often a thread that waits looks for signals.
const SIGNALS: Duration = Duration::from_millis(100);

/// For how long the seat stays free between two calls, before the background takes it.
const PAUSE: Duration = Duration::from_millis(10);

/// The driver of this process.
static DRIVER: Mutex<Option<Arc<ThreadDriver>>> = Mutex::new(None);

thread_local! {
    /// Whether operations block this thread.
    static BLOCKING: Cell<bool> = const { Cell::new(false) };
}

/// Drives the executor of all threads without an event loop.
pub(crate) struct ThreadDriver {
    executor: Arc<Executor>,
    /// Held by the thread that runs the ready tasks and waits for sockets.
    seat: Mutex<Seat>,
    /// The calls whose threads wait without the seat.
    waiting: Mutex<Vec<Arc<Call>>>,
    /// Whether a caller has had the seat since the background last looked.
    used: AtomicBool,
}

type Seat = (Poll, Events);

/// An operation that a thread waits for.
struct Call {
    thread: Thread,
    finished: AtomicBool,
    outcome: Mutex<Option<Outcome>>,
}

/// Runs an operation, and returns its result. Signal handlers of Python run meanwhile; if one
/// raises, the operation is dropped.
pub(crate) fn run<'py, F>(
    py: Python<'py>,
    driver: &Arc<ThreadDriver>,
    operation: F,
) -> PyResult<Bound<'py, PyAny>>
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let process = Process::current();
    let call = Arc::new(Call::of_this_thread());
    let finished = Arc::clone(&call);
    let work = operation.map(move |outcome| finished.finish(outcome));
    let task = Task::new(&driver.executor, spans::recorded(py, Box::pin(work)));
    let mut new = Some(&task);
    let result = loop {
        let waited = finalization::detached(py, || driver.wait(&call, new.take()));
        let outcome = call.outcome.lock().take();
        if let Some(outcome) = outcome {
            break outcome(py).map(|result| result.into_bound(py));
        }
        let signals = waited.map_err(PyErr::from).and_then(|()| py.check_signals());
        if process.is_parent() {
            // A signal handler has forked: the call belongs to the parent.
            std::mem::forget((task, call));
            return Err(PyRuntimeError::new_err(
                "the process was forked in the middle of the call",
            ));
        }
        if let Err(error) = signals {
            task.abandon();
            break Err(error);
        }
    };
    hand_over(py);
    result
}

/// Runs a future in the background.
pub(crate) fn background(
    py: Python<'_>,
    driver: &Arc<ThreadDriver>,
    work: impl Future<Output = ()> + Send + 'static,
) -> Arc<Task> {
    let task = Task::new(&driver.executor, Box::pin(work));
    py.detach(|| driver.begin(&task, false));
    task
}

/// Lets operations block this thread, and returns whether they did before.
#[pyfunction]
pub(crate) fn set_blocking(blocking: bool) -> bool {
    BLOCKING.replace(blocking)
}

/// Returns whether operations block this thread: it lets them, and runs no event loop.
#[pyfunction]
pub(crate) fn is_blocking(py: Python<'_>) -> PyResult<bool> {
    Ok(BLOCKING.get() && running_loop(py)?.is_none())
}

/// Returns whether this thread lets operations block it.
pub(crate) fn may_block() -> bool {
    BLOCKING.get()
}

/// Returns the executor of the threads, if one has used it.
pub(crate) fn executor() -> Option<Arc<Executor>> {
    DRIVER.lock().as_ref().map(|driver| Arc::clone(&driver.executor))
}

/// Leaves the driver of the parent in a forked process, which has none of its threads, and
/// returns its executor.
pub(crate) fn forget() -> Option<Arc<Executor>> {
    let driver = DRIVER.lock().take()?;
    let executor = Arc::clone(&driver.executor);
    std::mem::forget(driver);
    Some(executor)
}

impl ThreadDriver {
    /// Returns the driver of this process. The first call starts it.
    pub(crate) fn of_this_process() -> io::Result<Arc<Self>> {
        let mut driver = DRIVER.lock();
        if let Some(driver) = &*driver {
            return Ok(Arc::clone(driver));
        }
        let (executor, poll) = Executor::new()?;
        let started = Arc::new(Self {
            executor,
            seat: Mutex::new((poll, Events::with_capacity(256))),
            waiting: Mutex::default(),
            used: AtomicBool::new(true),
        });
        let background = Arc::clone(&started);
        let work = move || background.run_in_background();
        thread::Builder::new().name("hotshelf".into()).spawn(work)?;
        Ok(Arc::clone(driver.insert(started)))
    }

    /// Begins a task, and waits until its call is finished, or it is time to look for signals.
    fn wait(&self, call: &Arc<Call>, new: Option<&Arc<Task>>) -> io::Result<()> {
        let waited = match self.seat.try_lock() {
            Some(mut seat) => {
                new.inspect(|task| self.begin(task, true));
                self.drive(&mut seat, || call.is_finished(), Some(SIGNALS))
            }
            None => self.wait_for_others(call, new),
        };
        self.offer_seat();
        waited
    }

    fn wait_for_others(&self, call: &Arc<Call>, new: Option<&Arc<Task>>) -> io::Result<()> {
        // Known as waiting before the task wakes the background, which then leaves the seat.
        self.waiting.lock().push(Arc::clone(call));
        new.inspect(|task| self.begin(task, false));
        let mut waited = Ok(());
        for _ in 0..2 {
            if call.is_finished() {
                break;
            }
            // It may have become free before this call was known as waiting.
            if let Some(mut seat) = self.seat.try_lock() {
                waited = self.drive(&mut seat, || call.is_finished(), Some(SIGNALS));
                break;
            }
            park_timeout(SIGNALS);
        }
        self.waiting.lock().retain(|waiting| !Arc::ptr_eq(waiting, call));
        waited
    }

    /// Polls a new task. `has_seat` is whether this thread will run those that it wakes.
    fn begin(&self, task: &Arc<Task>, has_seat: bool) {
        let _entered = self.enter(has_seat);
        task.run();
    }

    /// Makes the executor that of this thread, and holds off forks meanwhile.
    fn enter(&self, has_seat: bool) -> (Entered, HeldOff) {
        let held = fork::hold_off();
        let entered = match has_seat {
            true => self.executor.enter(),
            false => self.executor.enter_without_polling(),
        };
        (entered, held)
    }

    /// Runs ready tasks and waits for sockets and timers until `ends`, or for a limit, or until a
    /// signal arrives.
    fn drive(
        &self,
        seat: &mut Seat,
        ends: impl Fn() -> bool,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        let (poll, events) = seat;
        if limit.is_some() {
            self.used.store(true, Ordering::Relaxed);
        }
        let end = limit.map(|limit| now() + limit);
        loop {
            let timeout = self.run_tasks(poll, events)?;
            let left = end.map(|end| end.since(now()));
            if ends() || left == Some(Duration::ZERO) {
                return Ok(());
            }
            match poll.poll(events, [timeout, left].into_iter().flatten().min()) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
                Err(error) => return Err(error),
            }
            let _entered = self.enter(true);
            self.executor.mark_ready(events);
        }
    }

    /// Runs ready tasks, then those whose timers are due, and returns the time until the next
    /// timer.
    fn run_tasks(&self, poll: &mut Poll, events: &mut Events) -> io::Result<Option<Duration>> {
        let executor = &self.executor;
        loop {
            let _entered = self.enter(true);
            executor.run_ready();
            if !executor.has_ready() {
                match executor.next_timer() {
                    None => return Ok(None),
                    Some(next) if next > now() => return Ok(Some(next.since(now()))),
                    Some(_) => {}
                }
                // A timer that is due may be a timeout: what has arrived in time is read before.
                executor.take_readiness(poll, events)?;
                executor.run_ready();
                executor.end_timers(now());
            }
        }
    }

    /// Lets a thread that waits take the seat, if it is free.
    fn offer_seat(&self) {
        let next = self.waiting.lock().first().cloned();
        if let Some(next) = next
            && self.seat.try_lock().is_some()
        {
            next.thread.unpark();
        }
    }

    /// Takes the seat whenever no caller has used it for a while, and leaves it to the next one.
    fn run_in_background(&self) {
        loop {
            while self.used.swap(false, Ordering::Relaxed) {
                park_timeout(PAUSE);
            }
            if let Some(mut seat) = self.seat.try_lock() {
                // It fails only if the system is out of resources.
                let _ = self.drive(&mut seat, || !self.waiting.lock().is_empty(), None);
            }
            self.used.store(true, Ordering::Relaxed);
            self.offer_seat();
        }
    }
}

impl Call {
    fn of_this_thread() -> Self {
        let (finished, outcome) = (AtomicBool::new(false), Mutex::new(None));
        Self { thread: thread::current(), finished, outcome }
    }

    fn finish(&self, outcome: Outcome) {
        *self.outcome.lock() = Some(outcome);
        self.finished.store(true, Ordering::Release);
        self.thread.unpark();
    }

    fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }
}
