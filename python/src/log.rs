//! Forwards log events of the core and of the Redis client to Python's `logging`, and spans to
//! [`spans`].
//!
//! Events occur while operations are polled, when no Python code may run. So they are queued,
//! and emitted at the end of the driver's turn.

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use hotshelf_core::sync::Mutex;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::spans;

/// The queued lines, each with its level in `logging`.
static LINES: Mutex<Vec<(u8, String)>> = Mutex::new(Vec::new());
static WAITING: AtomicBool = AtomicBool::new(false);

/// Whether Python's logger is enabled for debug level, as of the last emitted line. That is
/// early enough: the core's debug lines repeat a line that was a warning first.
static DEBUG: AtomicBool = AtomicBool::new(false);

/// The maximum number of queued lines. Further lines are dropped.
const MAX_LINES: usize = 1000;

/// Installs the subscriber.
pub(crate) fn install() {
    // It fails if another interpreter has imported the module before.
    let _ = tracing::subscriber::set_global_default(Lines);
}

/// Emits the queued lines with the logger `hotshelf`.
pub(crate) fn flush(py: Python<'_>) {
    if WAITING.load(Ordering::Relaxed) && WAITING.swap(false, Ordering::Relaxed) {
        let lines = std::mem::take(&mut *LINES.lock());
        if let Err(error) = emit(py, lines) {
            error.write_unraisable(py, None);
        }
    }
}

fn emit(py: Python<'_>, lines: Vec<(u8, String)>) -> PyResult<()> {
    static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let logger = LOGGER.get_or_try_init(py, || {
        let logging = py.import("logging")?;
        logging.call_method1("getLogger", ("hotshelf",)).map(Bound::unbind)
    })?;
    let logger = logger.bind(py);
    DEBUG.store(logger.call_method1("isEnabledFor", (10,))?.is_truthy()?, Ordering::Relaxed);
    for (level, line) in lines {
        if let Err(error) = logger.call_method1("log", (level, "%s", line)) {
            // A failing handler must not lose the other lines.
            error.write_unraisable(py, None);
        }
    }
    Ok(())
}

/// Drops the queued lines in a forked process: they belong to its parent.
pub(crate) fn clear() {
    LINES.lock().clear();
    WAITING.store(false, Ordering::Relaxed);
}

/// Queues events from `INFO` on, and those of the core from `DEBUG` on if the logger is
/// enabled for them.
struct Lines;

/// The text of an event: its message, then its fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Subscriber for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match metadata.is_span() {
            true if spans::is_wanted(metadata) => Interest::always(),
            true => Interest::never(),
            // The result of `enabled` depends on the logger's current level.
            false => Interest::sometimes(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let wanted = match *metadata.level() {
            Level::TRACE => false,
            Level::DEBUG => {
                metadata.target().starts_with("hotshelf_core") && DEBUG.load(Ordering::Relaxed)
            }
            _ => true,
        };
        if metadata.is_span() { spans::is_wanted(metadata) } else { wanted }
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        spans::begin(attributes)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        spans::record(id, values);
    }

    fn try_close(&self, id: Id) -> bool {
        spans::end(&id);
        true
    }

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
        if lines.len() < MAX_LINES {
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
        // Writing to a `String` never fails.
        let _ = written;
    }
}
