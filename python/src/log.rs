//! Log lines of the core and of the wire, for Python's `logging`.
//!
//! They arise while operations are polled, where no Python code may run: handlers may do
//! anything. So they are kept, and handed on once the driver's turn is over.

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use hotshelf_core::sync::Mutex;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

/// The lines that were not handed on yet, each with its level as `logging` counts.
static LINES: Mutex<Vec<(u8, String)>> = Mutex::new(Vec::new());
static WAITING: AtomicBool = AtomicBool::new(false);

/// Whether Python's logger takes lines at debug level. It is asked when lines are handed on:
/// what the core logs at debug level repeats a line that was a warning before.
static DEBUG: AtomicBool = AtomicBool::new(false);

/// How many lines are kept. A process that never comes back to its loop loses the rest.
const MOST_LINES: usize = 1000;

/// Begins to keep what is logged.
pub(crate) fn install() {
    // A module that is imported again, by another interpreter, finds it installed.
    let _ = tracing::subscriber::set_global_default(Lines);
}

/// Hands the lines on to the logger `hotshelf`.
pub(crate) fn flush(py: Python<'_>) {
    if WAITING.load(Ordering::Relaxed) && WAITING.swap(false, Ordering::Relaxed) {
        let lines = std::mem::take(&mut *LINES.lock());
        if let Err(error) = hand_on(py, lines) {
            error.write_unraisable(py, None);
        }
    }
}

fn hand_on(py: Python<'_>, lines: Vec<(u8, String)>) -> PyResult<()> {
    static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let logger = LOGGER.get_or_try_init(py, || {
        let logging = py.import("logging")?;
        logging.call_method1("getLogger", ("hotshelf",)).map(Bound::unbind)
    })?;
    let logger = logger.bind(py);
    DEBUG.store(logger.call_method1("isEnabledFor", (10,))?.is_truthy()?, Ordering::Relaxed);
    for (level, line) in lines {
        if let Err(error) = logger.call_method1("log", (level, "%s", line)) {
            // The handler's fault is no reason to lose the other lines.
            error.write_unraisable(py, None);
        }
    }
    Ok(())
}

/// Drops the lines: they are those of the parent process.
pub(crate) fn clear() {
    LINES.lock().clear();
    WAITING.store(false, Ordering::Relaxed);
}

/// Keeps events from `INFO` on as lines, and those of the core from `DEBUG` on where they
/// are wanted.
struct Lines;

/// The text of an event: its message, then its fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Subscriber for Lines {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The answer of `enabled` changes with the logger's level.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let wanted = match *metadata.level() {
            Level::TRACE => false,
            Level::DEBUG => {
                metadata.target().starts_with("hotshelf_core") && DEBUG.load(Ordering::Relaxed)
            }
            _ => true,
        };
        wanted && metadata.is_event()
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
            Level::INFO => 20,
            _ => 10,
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
