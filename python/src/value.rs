//! Python values as the core shares and stores them.

use std::sync::Arc;

use bytes::Bytes;
use hotshelf_core::cache::Value;
use hotshelf_core::codec::{Codec, Decoded, Opaque};
use hotshelf_core::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes};
use pyo3::{PyTraverseError, PyVisit};

/// A Python value.
pub(crate) enum PyValue {
    /// Its encoded form. Each caller decodes it in its own task: decoding runs Python code,
    /// which must not happen while an operation is polled.
    Encoded(Bytes),
    /// The object itself; `reason` is why it can't be encoded.
    Object { object: Py<PyAny>, reason: String },
}

/// Passes encoded values through unchanged.
#[derive(Debug)]
pub(crate) struct PyCodec;

/// A value that another caller of this process loaded, and that can't be encoded.
#[pyclass(frozen, get_all, module = "hotshelf._hotshelf")]
pub(crate) struct Unencoded {
    pub(crate) value: Py<PyAny>,
}

#[pymethods]
impl Unencoded {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.value)
    }
}

impl PyValue {
    /// Creates a value from an object and its encoded form, or the reason why it has none.
    pub(crate) fn new(object: Py<PyAny>, raw: Option<Vec<u8>>, reason: Option<String>) -> Self {
        match raw {
            Some(raw) => Self::Encoded(raw.into()),
            None => Self::Object { object, reason: reason.unwrap_or_default() },
        }
    }
}

impl Codec for PyCodec {
    fn decode(&self, raw: &Bytes) -> Result<Decoded, Error> {
        Ok(Arc::new(PyValue::Encoded(raw.clone())))
    }

    /// A part of the entry.
    fn decoded_size(&self, _: &Bytes) -> usize {
        size_of::<PyValue>()
    }

    fn encode(&self, value: &Opaque) -> Result<Bytes, Error> {
        match value.downcast_ref() {
            Some(PyValue::Encoded(raw)) => Ok(raw.clone()),
            Some(PyValue::Object { reason, .. }) => {
                Err(Error::new(ErrorKind::Encode, reason.clone()))
            }
            None => Err(Error::new(ErrorKind::Encode, "the value is not a Python value")),
        }
    }
}

/// Converts a value to Python: to bytes that the caller decodes, `False` for a cached
/// negative, or an [`Unencoded`].
pub(crate) fn to_python(py: Python<'_>, value: &Value) -> PyResult<Py<PyAny>> {
    let value = match value {
        Value::Present(value) => value.downcast_ref(),
        Value::Absent => None,
    };
    match value {
        Some(PyValue::Encoded(raw)) => Ok(PyBytes::new(py, raw).into_any().unbind()),
        Some(PyValue::Object { object, .. }) => {
            Ok(Py::new(py, Unencoded { value: object.clone_ref(py) })?.into_any())
        }
        None => Ok(PyBool::new(py, false).to_owned().into_any().unbind()),
    }
}
