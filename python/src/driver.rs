//! What stands between an event loop of Python and its executor.
//!
//! The loop calls in when a socket is ready, when time has passed, and when it was asked to
//! come back. Users call in to begin operations: then what is ready may be sent, but nothing
//! is settled, since whoever waits for it may be the caller.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotshelf_core::Moment;
use mio::{Events, Poll};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::executor::{Executor, Task};
use crate::pending::{Operation, Outcome, Pending};
use crate::runtime::now;

/// How often a turn looks again for what has become ready, before the loop goes on.
const ROUNDS: usize = 64;

/// The drivers of all loops.
static DRIVERS: Mutex<Vec<Py<Driver>>> = Mutex::new(Vec::new());

/// Drives the executor of one event loop.
#[pyclass(frozen, weakref, module = "hotshelf._hotshelf")]
pub(crate) struct Driver {
    event_loop: Py<PyAny>,
    create_future: Py<PyAny>,
    call_soon: Py<PyAny>,
    executor: Arc<Executor>,
    poll: Mutex<(Poll, Events)>,
    /// Operations that have ended, and whose waiters are to be told.
    ended: Arc<Mutex<Vec<Arc<Operation>>>>,
    /// How many operations wait, and how many were told in the last turn.
    waiting: AtomicUsize,
    last_batch: AtomicUsize,
    /// Whether the loop was asked to come back.
    asked: AtomicBool,
    timer: Mutex<Option<(Moment, Py<PyAny>)>>,
}

impl Driver {
    /// Gives the driver of the loop that runs on this thread.
    pub(crate) fn on_this_loop(py: Python<'_>) -> PyResult<Bound<'_, Self>> {
        let running = running_loop(py)?;
        let drivers = lock(&DRIVERS);
        let is_its = |driver: &&Py<Self>| driver.get().event_loop.is(&running);
        if let Some(driver) = drivers.iter().find(is_its) {
            return Ok(driver.bind(py).clone());
        }
        drop(drivers);
        Self::start(&running)
    }

    fn start<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Self>> {
        let py = event_loop.py();
        let (executor, poll) = Executor::new()?;
        let watched = std::os::fd::AsRawFd::as_raw_fd(&poll);
        let driver = Bound::new(
            py,
            Self {
                event_loop: event_loop.clone().unbind(),
                create_future: event_loop.getattr("create_future")?.unbind(),
                call_soon: event_loop.getattr("call_soon")?.unbind(),
                executor,
                poll: Mutex::new((poll, Events::with_capacity(256))),
                ended: Arc::default(),
                waiting: AtomicUsize::new(0),
                last_batch: AtomicUsize::new(0),
                asked: AtomicBool::new(false),
                timer: Mutex::new(None),
            },
        )?;
        event_loop.call_method1("add_reader", (watched, driver.getattr("on_ready")?))?;
        sweep(py);
        lock(&DRIVERS).push(driver.clone().unbind());
        Ok(driver)
    }

    /// Begins an operation: gives what it gives, if that is there at once, or else what to
    /// wait for.
    pub(crate) fn begin<'py, F>(slf: &Bound<'py, Self>, operation: F) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (py, driver) = (slf.py(), slf.get());
        let entered = driver.executor.enter();
        let state = Operation::new();
        let (ended, told) = (Arc::clone(&driver.ended), Arc::clone(&state));
        let work = async move {
            let outcome = operation.await;
            if told.ended(outcome) {
                lock(&ended).push(told);
            }
        };
        let task = Task::new(&driver.executor, Box::pin(work));
        task.run();
        let begun = state.outcome_or_wait(py, || driver.create_future.call0(py))?;
        let given = match begun {
            Ok(outcome) => outcome(py)?.into_bound(py),
            Err(future) => {
                driver.waiting.fetch_add(1, Ordering::Relaxed);
                let driver = slf.clone().unbind();
                Bound::new(py, Pending::new(future, task, state, driver))?.into_any()
            }
        };
        driver.send_or_ask(slf)?;
        drop(entered);
        Ok(given)
    }

    /// Lets something go on in the background of the loop that runs on this thread.
    pub(crate) fn background(
        py: Python<'_>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> PyResult<Background> {
        let driver = Self::on_this_loop(py)?;
        let executor = &driver.get().executor;
        let entered = executor.enter();
        let task = Task::new(executor, Box::pin(work));
        task.run();
        drop(entered);
        driver.get().set_timer(&driver)?;
        Ok(Background(task))
    }

    /// Does something for the loop that runs on this thread, and asks it to come back for
    /// what that has made ready.
    pub(crate) fn within(py: Python<'_>, work: impl FnOnce()) -> PyResult<()> {
        let driver = Self::on_this_loop(py)?;
        let entered = driver.get().executor.enter();
        work();
        drop(entered);
        driver.get().ask(&driver)
    }

    /// Takes note that nobody waits any more for an operation that was under way.
    pub(crate) fn forget_one(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sends what is ready at once where only one operation is under way; else the loop is
    /// asked to come back, and what else is begun until then goes along.
    fn send_or_ask(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let alone = self.waiting.load(Ordering::Relaxed) <= 1
            && self.last_batch.load(Ordering::Relaxed) <= 1
            && !self.asked.load(Ordering::Relaxed);
        if alone && self.executor.has_ready() {
            self.executor.run(now());
        }
        if self.executor.has_ready() || !lock(&self.ended).is_empty() {
            self.ask(slf)?;
        }
        self.set_timer(slf)
    }

    /// Asks the loop to come back, once.
    fn ask(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        if !self.asked.swap(true, Ordering::Relaxed) {
            let come_back = slf.getattr(intern!(slf.py(), "on_asked"))?;
            self.call_soon.call1(slf.py(), (come_back,))?;
        }
        Ok(())
    }

    /// Runs what is ready, and tells those who wait.
    fn turn(&self, slf: &Bound<'_, Self>, look: bool) -> PyResult<()> {
        let py = slf.py();
        let entered = self.executor.enter();
        if look {
            let (poll, events) = &mut *lock(&self.poll);
            self.executor.take_readiness(poll, events)?;
        }
        for _ in 0..ROUNDS {
            self.executor.run(now());
            if !self.executor.has_ready() {
                break;
            }
        }
        let ended = std::mem::take(&mut *lock(&self.ended));
        self.last_batch.store(ended.len(), Ordering::Relaxed);
        self.waiting.fetch_sub(ended.len(), Ordering::Relaxed);
        for operation in ended {
            operation.settle(py);
        }
        if self.executor.has_ready() {
            self.ask(slf)?;
        }
        let timer = self.set_timer(slf);
        drop(entered);
        timer
    }

    /// Lets the loop come back when the next timer is due: one timer of the loop for all.
    fn set_timer(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let Some(next) = self.executor.next_timer() else { return Ok(()) };
        let mut timer = lock(&self.timer);
        if timer.as_ref().is_some_and(|(due, _)| *due <= next) {
            return Ok(());
        }
        let py = slf.py();
        let delay = next.since(now()).as_secs_f64();
        let handle = self.event_loop.call_method1(
            py,
            intern!(py, "call_later"),
            (delay, slf.getattr(intern!(py, "on_time"))?),
        )?;
        let before = timer.replace((next, handle));
        drop(timer);
        if let Some((_, before)) = before {
            before.call_method0(py, intern!(py, "cancel"))?;
        }
        Ok(())
    }

    fn is_closed(&self, py: Python<'_>) -> bool {
        let closed = self.event_loop.call_method0(py, intern!(py, "is_closed"));
        closed.and_then(|closed| closed.extract(py)).unwrap_or(true)
    }
}

#[pymethods]
impl Driver {
    /// The loop says that a socket is ready, or that another thread has rung.
    fn on_ready(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().turn(slf, true)
    }

    /// The loop comes back, as it was asked to.
    fn on_asked(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().asked.store(false, Ordering::Relaxed);
        slf.get().turn(slf, false)
    }

    /// The loop says that time has passed.
    fn on_time(slf: &Bound<'_, Self>) -> PyResult<()> {
        lock(&slf.get().timer).take();
        slf.get().turn(slf, false)
    }
}

/// Something that goes on in the background until it is ended.
pub(crate) struct Background(Arc<Task>);

impl Background {
    pub(crate) fn end(&self) {
        self.0.abandon();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.end();
    }
}

/// Gives some loop's executor, for work that may be done on any.
pub(crate) fn any_executor() -> Option<Arc<Executor>> {
    lock(&DRIVERS).last().map(|driver| Arc::clone(&driver.get().executor))
}

/// Lets go of loops that were closed.
fn sweep(py: Python<'_>) {
    let drivers = std::mem::take(&mut *lock(&DRIVERS));
    let (gone, mut kept): (Vec<_>, Vec<_>) =
        drivers.into_iter().partition(|driver| driver.get().is_closed(py));
    lock(&DRIVERS).append(&mut kept);
    // Their connections end here, and may wake others.
    drop(gone);
}

/// Forgets all loops: they are those of the parent process, whose sockets and memory they
/// share. Nothing of them may be closed, or dropped.
pub(crate) fn forget_all() {
    let drivers = std::mem::take(&mut *lock(&DRIVERS));
    drivers.into_iter().for_each(std::mem::forget);
}

fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let running = RUNNING.get_or_try_init(py, || {
        Ok::<_, PyErr>(py.import("asyncio.events")?.getattr("_get_running_loop")?.unbind())
    })?;
    let running = running.bind(py).call0()?;
    match running.is_none() {
        true => {
            Err(PyRuntimeError::new_err("there is no running event loop: await it in a coroutine"))
        }
        false => Ok(running),
    }
}

/// No code that could panic half-way runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
