//! Hands spans of round trips to a tracer of Python, such as that of OpenTelemetry.
//!
//! They begin and end while operations are polled, when no Python code may run. So each is recorded
//! for the operation that began it, with the tracer's context at that time, and handed over at the
//! end of the driver's turn.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use hotshelf_core::BoxFuture;
use hotshelf_core::sync::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracing::Metadata;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};

use crate::kept::Kept;

/// What is called with the context, the fields, and the times of a span.
static TRACER: Mutex<Option<Tracer>> = Mutex::new(None);
static ENABLED: AtomicBool = AtomicBool::new(false);

/// The spans that haven't ended.
static OPEN: Mutex<Option<HashMap<u64, Open>>> = Mutex::new(None);
static COUNT: AtomicU64 = AtomicU64::new(0);

/// The spans that have ended, and were not handed over yet.
static ENDED: Mutex<Vec<Open>> = Mutex::new(Vec::new());
static WAITING: AtomicBool = AtomicBool::new(false);

/// The maximum number of spans that wait to be handed over. Further ones are dropped.
const MOST: usize = 10_000;

thread_local! {
    /// The context of the operation that is being polled.
    static CURRENT: RefCell<Option<Arc<Kept>>> = const { RefCell::new(None) };
}

struct Tracer {
    context: Py<PyAny>,
    emit: Py<PyAny>,
}

/// A span.
struct Open {
    context: Arc<Kept>,
    fields: Fields,
    began: u64,
    ended: u64,
}

/// The fields that have a value, without those that are meant for other subscribers.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

enum Value {
    Text(String),
    Number(u64),
}

/// Hands spans to `emit`, with what `context` returns when their operation begins. The last call
/// counts.
#[pyfunction]
pub(crate) fn collect_spans(context: Py<PyAny>, emit: Py<PyAny>) {
    let before = TRACER.lock().replace(Tracer { context, emit });
    ENABLED.store(true, Ordering::Release);
    drop(before);
    tracing::callsite::rebuild_interest_cache();
}

/// Returns whether a span is recorded: that of a round trip.
pub(crate) fn is_wanted(metadata: &Metadata<'_>) -> bool {
    metadata.is_span()
        && ENABLED.load(Ordering::Relaxed)
        && metadata.target().starts_with("hotshelf_redis")
}

/// An operation whose spans are recorded.
struct Recorded {
    operation: BoxFuture<'static, ()>,
    context: Arc<Kept>,
}

/// Records the spans of an operation that begins now, if they are collected.
pub(crate) fn recorded(
    py: Python<'_>,
    operation: BoxFuture<'static, ()>,
) -> BoxFuture<'static, ()> {
    match context(py) {
        Some(context) => Box::pin(Recorded { operation, context }),
        None => operation,
    }
}

/// Returns the tracer's context, if spans are collected.
fn context(py: Python<'_>) -> Option<Arc<Kept>> {
    if !ENABLED.load(Ordering::Relaxed) {
        return None;
    }
    let context = TRACER.lock().as_ref()?.context.clone_ref(py);
    match context.call0(py) {
        Ok(context) => Some(Arc::new(Kept::new(context))),
        Err(error) => {
            error.write_unraisable(py, None);
            None
        }
    }
}

impl Future for Recorded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let outer = CURRENT.replace(Some(Arc::clone(&self.context)));
        let polled = self.operation.as_mut().poll(context);
        CURRENT.set(outer);
        polled
    }
}

pub(crate) fn begin(attributes: &Attributes<'_>) -> Id {
    let number = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    if let Some(context) = CURRENT.with_borrow(Clone::clone) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let span = Open { context, fields, began: now(), ended: 0 };
        OPEN.lock().get_or_insert_default().insert(number, span);
    }
    Id::from_u64(number)
}

pub(crate) fn record(id: &Id, values: &Record<'_>) {
    if let Some(span) = OPEN.lock().as_mut().and_then(|open| open.get_mut(&id.into_u64())) {
        values.record(&mut span.fields);
    }
}

/// Ends a span. Its handle is never cloned.
pub(crate) fn end(id: &Id) {
    let span = OPEN.lock().as_mut().and_then(|open| open.remove(&id.into_u64()));
    let Some(span) = span else { return };
    let mut ended = ENDED.lock();
    if ended.len() < MOST {
        ended.push(Open { ended: now(), ..span });
        WAITING.store(true, Ordering::Relaxed);
    }
}

/// Hands over the spans that have ended.
pub(crate) fn flush(py: Python<'_>) {
    if !WAITING.load(Ordering::Relaxed) || !WAITING.swap(false, Ordering::Relaxed) {
        return;
    }
    let ended = std::mem::take(&mut *ENDED.lock());
    let Some(emit) = TRACER.lock().as_ref().map(|tracer| tracer.emit.clone_ref(py)) else { return };
    for span in ended {
        if let Err(error) = span.emit(py, &emit) {
            // Others must not be lost.
            error.write_unraisable(py, None);
        }
    }
}

/// Drops what was recorded in a forked process: it belongs to its parent.
pub(crate) fn clear() {
    std::mem::forget(OPEN.lock().take());
    std::mem::forget(std::mem::take(&mut *ENDED.lock()));
    WAITING.store(false, Ordering::Relaxed);
}

impl Open {
    fn emit(self, py: Python<'_>, emit: &Py<PyAny>) -> PyResult<()> {
        let fields = PyDict::new(py);
        for (name, value) in self.fields.0 {
            match value {
                Value::Text(text) => fields.set_item(name, text)?,
                Value::Number(number) => fields.set_item(name, number)?,
            }
        }
        emit.call1(py, (self.context.object(py), fields, self.began, self.ended)).map(drop)
    }
}

impl Fields {
    fn set(&mut self, field: &Field, value: Value) {
        // They are told to subscribers that know nothing but fields.
        if !field.name().starts_with("otel.") {
            self.0.push((field.name(), value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, Value::Text(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Value::Number(value));
    }
}

/// Returns the time since 1970, in nanoseconds.
#[expect(clippy::disallowed_methods, reason = "tracers take the time of a wall clock")]
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
