//! Converts errors to exceptions.

use std::time::Duration;

use hotshelf_core::{Error, ErrorKind};
use pyo3::exceptions::PyValueError;
use pyo3::import_exception;
use pyo3::prelude::*;

/// Imports exception classes from `hotshelf/_errors.py`.
macro_rules! import_exceptions {
    ($($name:ident),* $(,)?) => {
        $(import_exception!(hotshelf._errors, $name);)*

        /// Imports all exception classes, so that raising one runs no import.
        pub(crate) fn load(py: Python<'_>) -> PyResult<()> {
            py.import("hotshelf._errors")?;
            $(py.get_type::<$name>();)*
            Ok(())
        }
    };
}

import_exceptions!(
    AuthenticationError,
    ClosedError,
    ConfigurationError,
    DecodeError,
    EncodeError,
    KeyError,
    LoadBackoffError,
    LoadTimeoutError,
    NoScriptError,
    OutOfMemoryError,
    PermissionError,
    ServerError,
    TimeoutError,
    UnavailableError,
    WrongTypeError,
);

/// Returns the exception of an error. Its text includes those of the error's causes.
pub(crate) fn exception(error: &Error) -> PyErr {
    let text = error.with_causes();
    match error.kind() {
        ErrorKind::Configuration | ErrorKind::Unsupported => ConfigurationError::new_err(text),
        ErrorKind::Key => KeyError::new_err(text),
        ErrorKind::Encode | ErrorKind::TooLarge => EncodeError::new_err(text),
        ErrorKind::Decode => DecodeError::new_err(text),
        ErrorKind::Unavailable | ErrorKind::Loading | ErrorKind::ReadOnly | ErrorKind::Moved => {
            UnavailableError::new_err(text)
        }
        ErrorKind::Timeout => TimeoutError::new_err(text),
        ErrorKind::Authentication => AuthenticationError::new_err(text),
        ErrorKind::Permission => PermissionError::new_err(text),
        ErrorKind::OutOfMemory => OutOfMemoryError::new_err(text),
        ErrorKind::WrongType => WrongTypeError::new_err(text),
        ErrorKind::NoScript => NoScriptError::new_err(text),
        ErrorKind::Closed => ClosedError::new_err(text),
        _ => ServerError::new_err(text),
    }
}

/// Returns the exception of a load that isn't repeated for some time.
pub(crate) fn backing_off(left: Duration) -> PyErr {
    LoadBackoffError::new_err(left.as_secs_f64())
}

/// Returns the exception of a call that waited for `hard_timeout`.
pub(crate) fn load_timed_out() -> PyErr {
    LoadTimeoutError::new_err("the load takes longer than `hard_timeout`")
}

/// Returns a `ValueError`.
pub(crate) fn value_error(text: impl Into<String>) -> PyErr {
    PyValueError::new_err(text.into())
}
