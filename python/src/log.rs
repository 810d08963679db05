//! Log lines of the core and of the wire, for Python's `logging`.
//!
//! They arise while operations are polled, where no Python code may run: handlers may do
//! anything. So they are kept, and handed on once the driver's turn is over.

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The lines that were not handed on yet, each with its level as `logging` counts.
static LINES: Mutex<Vec<(u8, String)>> = Mutex::new(Vec::new());
static WAITING: AtomicBool = AtomicBool::new(false);

/// How many lines are kept. A process that never comes back to its loop loses the rest.
const MOST_LINES: usize = 1000;

/// Begins to keep what is logged.
pub(crate) fn install() {
    // A module that is imported again, by another interpreter, finds it installed.
    let _ = tracing::subscriber::set_global_default(Lines);
}

/// Hands the lines on to the logger `hotshelf`.
pub(crate) fn flush(py: Python<'_>) {
    static LOG: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    if !WAITING.swap(false, Ordering::Relaxed) {
        return;
    }
    let lines = std::mem::take(&mut *LINES.lock());
    let log = LOG.get_or_try_init(py, || {
        let logger = py.import("logging")?.call_method1("getLogger", ("hotshelf",))?;
        Ok::<_, PyErr>(logger.getattr("log")?.unbind())
    });
    for (level, line) in lines {
        let logged = log.as_ref().map_err(|error| error.clone_ref(py));
        if let Err(error) = logged.and_then(|log| log.call1(py, (level, "%s", line))) {
            error.write_unraisable(py, None);
        }
    }
}

/// Drops the lines: they are those of the parent process.
pub(crate) fn clear() {
    LINES.lock().clear();
    WAITING.store(false, Ordering::Relaxed);
}

/// Keeps events from `INFO` on as lines.
struct Lines;

/// The text of an event: its message, then its fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let level = match *event.metadata().level() {
            Level::ERROR => 40,
            Level::WARN => 30,
            _ => 20,
        };
        let mut line = Line::default();
        event.record(&mut line);
        let mut lines = LINES.lock();
        if lines.len() < MOST_LINES {
            lines.push((level, line.message + &line.fields));
            WAITING.store(true, Ordering::Relaxed);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
        // A `String` takes all that is written to it.
        let _ = written;
    }
}
