//! Python objects that the engine keeps.

use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering};

use hotshelf_core::sync::Mutex;
use pyo3::prelude::*;

/// Objects whose keepers were dropped.
static RELEASED: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());
static WAITING: AtomicBool = AtomicBool::new(false);

/// An object that the engine keeps. It may drop it under a lock, or without the GIL. So the
/// object is set aside until [`release`]: its finalizer may run any code.
pub(crate) struct Kept(Option<Py<PyAny>>);

impl Kept {
    pub(crate) fn new(object: Py<PyAny>) -> Self {
        Self(Some(object))
    }

    pub(crate) fn object(&self, py: Python<'_>) -> Py<PyAny> {
        self.0.as_ref().expect("it is only taken on drop").clone_ref(py)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        RELEASED.lock().extend(self.0.take());
        WAITING.store(true, Ordering::Release);
    }
}

/// Drops the objects that were set aside.
pub(crate) fn release(_: Python<'_>) {
    if WAITING.load(Ordering::Acquire) && WAITING.swap(false, Ordering::AcqRel) {
        let released = take(&mut *RELEASED.lock());
        drop(released);
    }
}
