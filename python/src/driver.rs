//! Connects an event loop of Python with its executor.
//!
//! The loop calls the driver when a socket is ready, when a timer is due, and when the driver
//! has scheduled a call. Users call it to begin operations: such a call may send requests, but
//! completes no future, since its caller may be the one that waits.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use futures_util::FutureExt;
use hotshelf_core::Moment;
use hotshelf_core::sync::Mutex;
use mio::{Events, Poll};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyWeakrefReference;
use pyo3::{PyTraverseError, PyVisit};
use slab::Slab;

use crate::executor::{Executor, Task};
use crate::finalization;
use crate::fork::Process;
use crate::host::hand_over;
use crate::pending::{Operation, Outcome, Pending};
use crate::runtime::now;
use crate::spans;

/// The maximum number of times that a turn runs ready tasks, before it returns to the loop.
const ROUNDS: usize = 64;

/// The drivers of all loops. The loops own them.
static DRIVERS: Mutex<Vec<Registered>> = Mutex::new(Vec::new());

struct Registered {
    /// The address of the event loop, which is unique among existing objects.
    event_loop: usize,
    driver: Py<PyWeakrefReference>,
    executor: Weak<Executor>,
}

/// Drives the executor of one event loop. The loop owns the driver as one of its readers:
/// closing the loop drops the driver, and closes all its connections.
#[pyclass(frozen, weakref, module = "hotshelf._hotshelf")]
pub(crate) struct Driver {
    event_loop: Py<PyAny>,
    create_future: Py<PyAny>,
    call_soon: Py<PyAny>,
    executor: Arc<Executor>,
    poll: Mutex<(Poll, Events)>,
    /// Finished operations, whose waiters are to be completed.
    finished: Arc<Mutex<Vec<Arc<Operation>>>>,
    /// The loop's futures that wait for operations. The driver owns them, and so does the loop,
    /// in a way that is visible to the garbage collector: waiters live as long as the loop.
    waiters: Mutex<Slab<Py<PyAny>>>,
    /// The number of operations that finished in the last turn.
    last_batch: AtomicUsize,
    /// Whether a turn is scheduled.
    scheduled: AtomicBool,
    process: Process,
    timer: Mutex<Option<(Moment, Py<PyAny>)>>,
}

impl Driver {
    /// Returns the driver of the loop that runs on this thread, if one does. The first call
    /// starts it.
    pub(crate) fn on_this_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, Self>>> {
        let Some(running) = running_loop(py)? else { return Ok(None) };
        let drivers = DRIVERS.lock();
        let registered =
            drivers.iter().find(|registered| registered.event_loop == address_of(&running));
        let driver = registered.map(|registered| registered.driver.clone_ref(py));
        drop(drivers);
        Ok(Some(match driver.and_then(|driver| driver.bind(py).upgrade()) {
            Some(driver) => driver.cast_into::<Self>()?,
            None => Self::start(&running)?,
        }))
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
                finished: Arc::default(),
                waiters: Mutex::default(),
                last_batch: AtomicUsize::new(0),
                scheduled: AtomicBool::new(false),
                process: Process::current(),
                timer: Mutex::new(None),
            },
        )?;
        event_loop.call_method1("add_reader", (watched, driver.getattr("on_ready")?))?;
        let registered = Registered {
            event_loop: address_of(event_loop),
            driver: PyWeakrefReference::new(&driver)?.unbind(),
            executor: Arc::downgrade(&driver.get().executor),
        };
        let mut drivers = DRIVERS.lock();
        let is_closed = |it: &mut Registered| {
            it.event_loop == registered.event_loop || it.executor.strong_count() == 0
        };
        let closed: Vec<_> = drivers.extract_if(.., is_closed).collect();
        drivers.push(registered);
        drop(drivers);
        drop(closed);
        Ok(driver)
    }

    /// Begins an operation. Returns its result if it completes immediately, or else a
    /// [`Pending`].
    pub(crate) fn begin<'py, F>(slf: &Bound<'py, Self>, operation: F) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let driver = slf.get();
        let state = Operation::new();
        let (finished, operation_state) = (Arc::clone(&driver.finished), Arc::clone(&state));
        // Not an async block, which would reserve space for the operation twice.
        let work = operation.map(move |outcome| {
            if operation_state.finish(outcome) {
                finished.lock().push(operation_state);
            }
        });
        let work = spans::recorded(slf.py(), Box::pin(work));
        let entered = driver.executor.enter();
        let task = Task::new(&driver.executor, work);
        task.run();
        let result = Self::result_or_pending(slf, state, task);
        // Even if the result is an error: the operation may have woken or spawned tasks.
        driver.send_or_schedule(slf)?;
        drop(entered);
        hand_over(slf.py());
        result
    }

    fn result_or_pending<'py>(
        slf: &Bound<'py, Self>,
        operation: Arc<Operation>,
        task: Arc<Task>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, driver) = (slf.py(), slf.get());
        let mut future = py.None();
        let outcome = operation.outcome_or_wait(|| {
            future = driver.create_future.call0(py)?;
            Ok(driver.waiters.lock().insert(future.clone_ref(py)))
        })?;
        match outcome {
            Some(outcome) => Ok(outcome(py)?.into_bound(py)),
            None => Ok(Bound::new(py, Pending::new(future, task, operation, slf)?)?.into_any()),
        }
    }

    /// Runs a future in the background of the loop.
    pub(crate) fn background(
        slf: &Bound<'_, Self>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> PyResult<Arc<Task>> {
        let executor = &slf.get().executor;
        let entered = executor.enter();
        let task = Task::new(executor, Box::pin(work));
        task.run();
        drop(entered);
        slf.get().set_timer(slf)?;
        Ok(task)
    }

    /// Removes a waiting future, and returns it.
    pub(crate) fn take_waiter(&self, waiter: usize) -> Option<Py<PyAny>> {
        self.waiters.lock().try_remove(waiter)
    }

    /// Runs ready tasks immediately if only one operation is running. Otherwise schedules a
    /// turn, which sends the requests of all operations begun until then together.
    fn send_or_schedule(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let alone = self.waiters.lock().len() <= 1
            && self.last_batch.load(Ordering::Relaxed) <= 1
            && !self.scheduled.load(Ordering::Relaxed);
        if alone && self.executor.has_ready() {
            self.executor.run_ready();
        }
        if self.executor.has_ready() || !self.finished.lock().is_empty() {
            self.schedule(slf)?;
        }
        self.set_timer(slf)
    }

    /// Schedules a turn, unless one is already scheduled.
    fn schedule(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        if !self.scheduled.swap(true, Ordering::Relaxed) {
            let callback = slf.getattr(intern!(slf.py(), "on_scheduled"))?;
            self.call_soon.call1(slf.py(), (callback,))?;
        }
        Ok(())
    }

    /// Runs ready tasks, then those whose timers are due, and completes the futures of finished
    /// operations.
    fn turn(&self, slf: &Bound<'_, Self>, poll_sockets: bool) -> PyResult<()> {
        if self.process.is_parent() {
            return Ok(());
        }
        let py = slf.py();
        let _inside = finalization::enter(py);
        let entered = self.executor.enter();
        if poll_sockets {
            self.take_readiness()?;
        }
        for _ in 0..ROUNDS {
            self.executor.run_ready();
            if self.executor.has_ready() {
                continue;
            }
            if self.executor.next_timer().is_none_or(|next| next > now()) {
                break;
            }
            // A timer that is due may be a timeout: what has arrived in time is read before.
            self.take_readiness()?;
            self.executor.run_ready();
            self.executor.end_timers(now());
        }
        let finished = std::mem::take(&mut *self.finished.lock());
        self.last_batch.store(finished.len(), Ordering::Relaxed);
        for operation in finished {
            operation.resolve(py, self);
        }
        if self.executor.has_ready() {
            self.schedule(slf)?;
        }
        let timer = self.set_timer(slf);
        drop(entered);
        hand_over(py);
        timer
    }

    fn take_readiness(&self) -> PyResult<()> {
        let (poll, events) = &mut *self.poll.lock();
        Ok(self.executor.take_readiness(poll, events)?)
    }

    /// Schedules a turn at the time of the next timer. All timers share one timer of the loop.
    fn set_timer(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let Some(next) = self.executor.next_timer() else { return Ok(()) };
        let mut timer = self.timer.lock();
        if timer.as_ref().is_some_and(|(due, _)| *due <= next) {
            return Ok(());
        }
        let py = slf.py();
        let delay = next.since(now()).as_secs_f64();
        let handle = self.event_loop.call_method1(
            py,
            intern!(py, "call_later"),
            (delay, Alarm { driver: PyWeakrefReference::new(slf)?.unbind() }),
        )?;
        let previous = timer.replace((next, handle));
        drop(timer);
        if let Some((_, previous)) = previous {
            previous.call_method0(py, intern!(py, "cancel"))?;
        }
        Ok(())
    }
}

#[pymethods]
impl Driver {
    /// Called by the loop when a socket is ready, or another thread has used the waker.
    fn on_ready(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().turn(slf, true)
    }

    /// Called by the loop for a scheduled turn.
    fn on_scheduled(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().scheduled.store(false, Ordering::Relaxed);
        slf.get().turn(slf, false)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        visit.call(&self.create_future)?;
        visit.call(&self.call_soon)?;
        if let Some(timer) = self.timer.try_lock()
            && let Some((_, handle)) = timer.as_ref()
        {
            visit.call(handle)?;
        }
        match self.waiters.try_lock() {
            Some(waiters) => waiters.iter().try_for_each(|(_, waiter)| visit.call(waiter)),
            None => Ok(()),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        match self.process.is_parent() {
            true => std::mem::forget(Arc::clone(&self.executor)),
            false => self.executor.shut_down(now()),
        }
    }
}

/// The callback of the loop's timer. Its reference to the driver is weak, since the driver owns
/// the timer, which owns the callback.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
struct Alarm {
    driver: Py<PyWeakrefReference>,
}

#[pymethods]
impl Alarm {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let Some(driver) = self.driver.bind(py).upgrade() else { return Ok(()) };
        let driver = driver.cast_into::<Driver>()?;
        driver.get().timer.lock().take();
        driver.get().turn(&driver, false)
    }
}

/// Returns the executor of an open loop that meets a condition.
pub(crate) fn open_executor(picks: impl Fn(&Executor) -> bool) -> Option<Arc<Executor>> {
    let drivers = DRIVERS.lock();
    let mut open = drivers.iter().rev().filter_map(|registered| registered.executor.upgrade());
    open.find(|executor| !executor.is_closed() && picks(executor))
}

/// Forgets the loops of the parent in a forked process, and returns their executors.
pub(crate) fn forget_all() -> Vec<Arc<Executor>> {
    let drivers = std::mem::take(&mut *DRIVERS.lock());
    drivers.iter().filter_map(|registered| registered.executor.upgrade()).collect()
}

/// Returns the address of an object.
fn address_of(object: &Bound<'_, PyAny>) -> usize {
    object.as_ptr() as usize
}

/// Returns the event loop that runs on this thread, if one does.
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let running = RUNNING.get_or_try_init(py, || {
        Ok::<_, PyErr>(py.import("asyncio.events")?.getattr("_get_running_loop")?.unbind())
    })?;
    let running = running.bind(py).call0()?;
    Ok(if running.is_none() { None } else { Some(running) })
}
