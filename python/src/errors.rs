//! Errors as exceptions.

use std::error::Error as _;

use hotshelf_core::{Error, ErrorKind};
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;

create_exception!(hotshelf, CacheError, PyException, "Trouble with the cache or its backend.");
create_exception!(hotshelf, ConfigurationError, CacheError, "An option or a URL is wrong.");
create_exception!(hotshelf, KeyError, CacheError, "This can't become a key.");
create_exception!(hotshelf, EncodeError, CacheError, "A value can't be stored.");
create_exception!(hotshelf, UnavailableError, CacheError, "The backend can't be reached.");
create_exception!(
    hotshelf,
    TimeoutError,
    UnavailableError,
    "The backend didn't answer in time: whether it executed the operation is unknown."
);
create_exception!(
    hotshelf,
    AuthenticationError,
    CacheError,
    "The backend refused the credentials, or its rules forbid the operation."
);
create_exception!(hotshelf, ServerError, CacheError, "The backend answered with an error.");
create_exception!(hotshelf, ClosedError, CacheError, "The cache was closed.");

/// Makes the exception of an error, with the words of what caused it.
pub(crate) fn exception(error: &Error) -> PyErr {
    let text = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    match error.kind() {
        ErrorKind::Configuration | ErrorKind::Unsupported => ConfigurationError::new_err(text),
        ErrorKind::Key => KeyError::new_err(text),
        ErrorKind::Encode | ErrorKind::Decode | ErrorKind::TooLarge => EncodeError::new_err(text),
        ErrorKind::Unavailable | ErrorKind::Loading | ErrorKind::ReadOnly | ErrorKind::Moved => {
            UnavailableError::new_err(text)
        }
        ErrorKind::Timeout => TimeoutError::new_err(text),
        ErrorKind::Authentication | ErrorKind::Permission => AuthenticationError::new_err(text),
        ErrorKind::Closed => ClosedError::new_err(text),
        _ => ServerError::new_err(text),
    }
}

/// Returns the exception of an invalid argument.
pub(crate) fn wrong(text: impl Into<String>) -> PyErr {
    PyValueError::new_err(text.into())
}

/// Adds the exceptions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("CacheError", py.get_type::<CacheError>())?;
    module.add("ConfigurationError", py.get_type::<ConfigurationError>())?;
    module.add("KeyError", py.get_type::<KeyError>())?;
    module.add("EncodeError", py.get_type::<EncodeError>())?;
    module.add("UnavailableError", py.get_type::<UnavailableError>())?;
    module.add("TimeoutError", py.get_type::<TimeoutError>())?;
    module.add("AuthenticationError", py.get_type::<AuthenticationError>())?;
    module.add("ServerError", py.get_type::<ServerError>())?;
    module.add("ClosedError", py.get_type::<ClosedError>())
}
