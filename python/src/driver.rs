//! What stands between an event loop of Python and its executor.
//!
//! The loop calls in when a socket is ready, when time has passed, and when it was asked to
//! come back. Users call in to begin operations: then what is ready may be sent, but nothing
//! is settled, since whoever waits for it may be the caller.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use futures_util::FutureExt;
use hotshelf_core::Moment;
use hotshelf_core::sync::Mutex;
use mio::{Events, Poll};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyWeakrefReference;
use pyo3::{PyTraverseError, PyVisit};
use slab::Slab;

use crate::ending;
use crate::executor::{Executor, Task};
use crate::fork::Process;
use crate::log;
use crate::pending::{Operation, Outcome, Pending};
use crate::runtime::now;

/// How often a turn looks again for what has become ready, before the loop goes on.
const ROUNDS: usize = 64;

/// The drivers of all loops. The loops own them.
static DRIVERS: Mutex<Vec<Known>> = Mutex::new(Vec::new());

struct Known {
    /// Where the event loop is: no two that live are at one place.
    event_loop: usize,
    driver: Py<PyWeakrefReference>,
    executor: Weak<Executor>,
}

/// Drives the executor of one event loop, which owns it as one of its readers: it goes when
/// the loop is closed, and all connections with it.
#[pyclass(frozen, weakref, module = "hotshelf._hotshelf")]
pub(crate) struct Driver {
    event_loop: Py<PyAny>,
    create_future: Py<PyAny>,
    call_soon: Py<PyAny>,
    executor: Arc<Executor>,
    poll: Mutex<(Poll, Events)>,
    /// Operations that have ended, and whose waiters are to be told.
    ended: Arc<Mutex<Vec<Arc<Operation>>>>,
    /// The loop's futures that wait for operations. They are the driver's, and so the loop's
    /// own, for the garbage collector to see: what waits lives as long as the loop.
    waiters: Mutex<Slab<Py<PyAny>>>,
    /// How many were told in the last turn.
    last_batch: AtomicUsize,
    /// Whether the loop was asked to come back.
    asked: AtomicBool,
    process: Process,
    timer: Mutex<Option<(Moment, Py<PyAny>)>>,
}

impl Driver {
    /// Gives the driver of the loop that runs on this thread.
    pub(crate) fn on_this_loop(py: Python<'_>) -> PyResult<Bound<'_, Self>> {
        let running = running_loop(py)?;
        let drivers = DRIVERS.lock();
        let known = drivers.iter().find(|known| known.event_loop == place(&running));
        let driver = known.map(|known| known.driver.clone_ref(py));
        drop(drivers);
        match driver.and_then(|driver| driver.bind(py).upgrade()) {
            Some(driver) => Ok(driver.cast_into::<Self>()?),
            None => Self::start(&running),
        }
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
                waiters: Mutex::default(),
                last_batch: AtomicUsize::new(0),
                asked: AtomicBool::new(false),
                process: Process::this(),
                timer: Mutex::new(None),
            },
        )?;
        event_loop.call_method1("add_reader", (watched, driver.getattr("on_ready")?))?;
        let known = Known {
            event_loop: place(event_loop),
            driver: PyWeakrefReference::new(&driver)?.unbind(),
            executor: Arc::downgrade(&driver.get().executor),
        };
        let mut drivers = DRIVERS.lock();
        let is_gone =
            |it: &mut Known| it.event_loop == known.event_loop || it.executor.strong_count() == 0;
        let gone: Vec<_> = drivers.extract_if(.., is_gone).collect();
        drivers.push(known);
        drop(drivers);
        drop(gone);
        Ok(driver)
    }

    /// Begins an operation: gives what it gives, if that is there at once, or else what to
    /// wait for.
    pub(crate) fn begin<'py, F>(slf: &Bound<'py, Self>, operation: F) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let driver = slf.get();
        let entered = driver.executor.enter();
        let state = Operation::new();
        let (ended, told) = (Arc::clone(&driver.ended), Arc::clone(&state));
        // Not an async block, which would have room for what it waits for twice.
        let work = operation.map(move |outcome| {
            if told.ended(outcome) {
                ended.lock().push(told);
            }
        });
        let task = Task::new(&driver.executor, Box::pin(work));
        task.run();
        let given = Self::give(slf, state, task);
        // Whatever it gives: what it has woken or spawned must get its turn.
        driver.send_or_ask(slf)?;
        drop(entered);
        log::flush(slf.py());
        given
    }

    fn give<'py>(
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

    /// Lets something go on in the background of the loop that runs on this thread.
    pub(crate) fn background(
        py: Python<'_>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> PyResult<Background> {
        let _inside = ending::enter(py);
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
        let _inside = ending::enter(py);
        let driver = Self::on_this_loop(py)?;
        let entered = driver.get().executor.enter();
        work();
        drop(entered);
        driver.get().ask(&driver)
    }

    /// Takes a future out that waited.
    pub(crate) fn take_waiter(&self, waiter: usize) -> Option<Py<PyAny>> {
        self.waiters.lock().try_remove(waiter)
    }

    /// Sends what is ready at once where only one operation is under way; else the loop is
    /// asked to come back, and what else is begun until then goes along.
    fn send_or_ask(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let alone = self.waiters.lock().len() <= 1
            && self.last_batch.load(Ordering::Relaxed) <= 1
            && !self.asked.load(Ordering::Relaxed);
        if alone && self.executor.has_ready() {
            self.executor.run(now());
        }
        if self.executor.has_ready() || !self.ended.lock().is_empty() {
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
        if self.process.is_gone() {
            return Ok(());
        }
        let py = slf.py();
        let _inside = ending::enter(py);
        let entered = self.executor.enter();
        if look {
            let (poll, events) = &mut *self.poll.lock();
            self.executor.take_readiness(poll, events)?;
        }
        for _ in 0..ROUNDS {
            self.executor.run(now());
            if !self.executor.has_ready() {
                break;
            }
        }
        let ended = std::mem::take(&mut *self.ended.lock());
        self.last_batch.store(ended.len(), Ordering::Relaxed);
        for operation in ended {
            operation.settle(py, self);
        }
        if self.executor.has_ready() {
            self.ask(slf)?;
        }
        let timer = self.set_timer(slf);
        drop(entered);
        log::flush(py);
        timer
    }

    /// Lets the loop come back when the next timer is due: one timer of the loop for all.
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
        let before = timer.replace((next, handle));
        drop(timer);
        if let Some((_, before)) = before {
            before.call_method0(py, intern!(py, "cancel"))?;
        }
        Ok(())
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
        match self.process.is_gone() {
            true => std::mem::forget(Arc::clone(&self.executor)),
            false => self.executor.shut_down(now()),
        }
    }
}

/// What the loop calls when time has passed. The driver keeps the timer, which keeps this: so
/// this doesn't keep the driver.
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

/// Something that goes on in the background until it is ended.
pub(crate) struct Background(Arc<Task>);

impl Background {
    pub(crate) fn end(&self) {
        self.0.abandon();
    }

    /// Ends it, and drops what it was for, on whatever thread.
    pub(crate) fn end_with<T>(&self, thing: T) {
        self.end();
        self.0.drop_on_its_loop(thing);
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.end();
    }
}

/// Gives some loop's executor, for work that may be done on any.
pub(crate) fn any_executor() -> Option<Arc<Executor>> {
    let drivers = DRIVERS.lock();
    let mut open = drivers.iter().rev().filter_map(|known| known.executor.upgrade());
    open.find(|executor| !executor.is_closed())
}

/// Forgets all loops: they are those of the parent process, whose sockets and memory they
/// share. The sockets are closed here, or the parent's connections would outlive it; nothing
/// else of them may be dropped.
pub(crate) fn forget_all(py: Python<'_>) -> PyResult<()> {
    let drivers = std::mem::take(&mut *DRIVERS.lock());
    let close = py.import("os")?.getattr("close")?;
    for executor in drivers.iter().filter_map(|known| known.executor.upgrade()) {
        for descriptor in executor.sockets().descriptors() {
            // One that is closed already needs nothing.
            let _ = close.call1((descriptor,));
        }
        std::mem::forget(executor);
    }
    Ok(())
}

/// Where an object is.
fn place(object: &Bound<'_, PyAny>) -> usize {
    object.as_ptr() as usize
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
