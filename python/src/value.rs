//! Python values as the core shares and stores them.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hotshelf_core::cache::Value;
use hotshelf_core::codec::{Decoded, ErasedCodec, Opaque};
use hotshelf_core::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;
use pyo3::{PyTraverseError, PyVisit};

use crate::errors::value_error;
use crate::kept::Kept;

/// A Python value.
pub(crate) enum PyValue {
    /// Its encoded form. Each caller decodes it in its own task: decoding runs Python code,
    /// which must not happen while an operation is polled.
    Encoded {
        raw: Bytes,
        /// The object that a caller has decoded, and the number of its codec.
        decoded: OnceLock<(u64, Kept)>,
    },
    /// The object itself; `reason` is why it can't be encoded.
    Object { object: Kept, reason: String },
}

/// Passes encoded values through unchanged.
#[derive(Debug)]
pub(crate) struct PyCodec {
    /// The name of the format.
    pub(crate) format: String,
    /// Whether decoded objects are kept beside encoded values.
    pub(crate) keeps_objects: bool,
}

/// The estimated size of a decoded object: that of a small pydantic model, and its ratio to its
/// JSON.
const OBJECT: usize = 300;
const OBJECT_RATIO: usize = 8;

/// A value that another caller of this process loaded, and that can't be encoded.
#[pyclass(frozen, get_all, module = "hotshelf._hotshelf")]
pub(crate) struct Unencoded {
    pub(crate) value: Py<PyAny>,
}

/// An entry in the memory of this process that no caller has decoded yet.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Encoded {
    value: Decoded,
    codec: u64,
}

/// Stands for a missing entry.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Missing;

#[pymethods]
impl Unencoded {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.value)
    }
}

#[pymethods]
impl Encoded {
    /// The encoded value.
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        match self.value.downcast_ref() {
            Some(PyValue::Encoded { raw, .. }) => PyBytes::new(py, raw),
            _ => PyBytes::new(py, b""),
        }
    }

    /// Keeps the decoded value for later callers, unless another caller has kept one. `None` and
    /// bytes are not kept: they would be taken for a negative and for an encoded value.
    fn keep(&self, object: &Bound<'_, PyAny>) {
        if let Some(PyValue::Encoded { decoded, .. }) = self.value.downcast_ref()
            && !(object.is_none() || object.is_exact_instance_of::<PyBytes>())
            && decoded.get().is_none()
        {
            let kept = Kept::new(object.clone().unbind());
            // Of two, the second one is dropped.
            drop(decoded.set((self.codec, kept)));
        }
    }
}

impl PyValue {
    /// Creates a value from an object and its encoded form, or the reason why it has none.
    pub(crate) fn new(object: Py<PyAny>, raw: Option<Vec<u8>>, reason: Option<String>) -> Self {
        match raw {
            Some(raw) => Self::encoded(raw.into()),
            None => {
                let (object, reason) = (Kept::new(object), reason.unwrap_or_default());
                Self::Object { object, reason }
            }
        }
    }

    fn encoded(raw: Bytes) -> Self {
        Self::Encoded { raw, decoded: OnceLock::new() }
    }
}

impl ErasedCodec for PyCodec {
    fn decode(&self, entry: &Bytes, length: usize) -> Result<Decoded, Error> {
        Ok(Arc::new(PyValue::encoded(entry.slice(..length))))
    }

    fn encode(&self, value: &Opaque) -> Result<Bytes, Error> {
        match value.downcast_ref() {
            Some(PyValue::Encoded { raw, .. }) => Ok(raw.clone()),
            Some(PyValue::Object { reason, .. }) => {
                Err(Error::new(ErrorKind::Encode, reason.clone()))
            }
            None => Err(Error::new(ErrorKind::Encode, "the value is not a Python value")),
        }
    }

    fn name(&self) -> Cow<'static, str> {
        self.format.clone().into()
    }

    fn decoded_size(&self, encoded: &Bytes) -> usize {
        let object = if self.keeps_objects { OBJECT + OBJECT_RATIO * encoded.len() } else { 0 };
        size_of::<PyValue>() + object
    }
}

/// The form in which a caller takes values.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// Bytes that it decodes.
    Encoded,
    /// The decoded object, or an [`Encoded`] that it decodes and keeps. The number is that of its
    /// codec.
    Decoded(u64),
}

/// Converts a value to Python: to what the caller takes, `None` for a negative, or an
/// [`Unencoded`].
pub(crate) fn to_python(py: Python<'_>, value: Value, form: Form) -> PyResult<Py<PyAny>> {
    let Value::Present(value) = value else { return Ok(py.None()) };
    match (value.downcast_ref(), form) {
        (Some(PyValue::Encoded { raw, .. }), Form::Encoded) => {
            Ok(PyBytes::new(py, raw).into_any().unbind())
        }
        (Some(PyValue::Encoded { decoded, .. }), Form::Decoded(codec)) => match decoded.get() {
            Some((by, object)) if *by == codec => Ok(object.object(py)),
            _ => Ok(Py::new(py, Encoded { value, codec })?.into_any()),
        },
        (Some(PyValue::Object { object, .. }), _) => {
            Ok(Py::new(py, Unencoded { value: object.object(py) })?.into_any())
        }
        (None, _) => Err(value_error("the value is not a Python value")),
    }
}

/// Returns what stands for a missing entry.
pub(crate) fn missing(py: Python<'_>) -> PyResult<Py<PyAny>> {
    static MISSING: PyOnceLock<Py<Missing>> = PyOnceLock::new();
    Ok(MISSING.get_or_try_init(py, || Py::new(py, Missing))?.clone_ref(py).into_any())
}
