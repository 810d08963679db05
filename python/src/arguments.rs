//! What Python passes in, for the core to judge.
//!
//! What can't be used becomes an error that the core counts and logs: it never stops a
//! factory, nor the other keys of a call.

use std::time::Duration;

use hotshelf_core::cache::{ByteCache, CallOptions, Mode, NegativeTtl};
use hotshelf_core::{Error, ErrorKind, Key, KeyLayout, Params, WireKey};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::errors::wrong;

/// An identifier, and the text of parameters or the exception that tells why there is none.
pub(crate) type KeyArguments<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyAny>>);

/// Builds the key of an entry. An invalid one is counted.
pub(crate) fn key(
    cache: &ByteCache,
    identifier: &Bound<'_, PyAny>,
    params: Option<&Bound<'_, PyAny>>,
) -> Result<WireKey, Error> {
    match parts(identifier, params) {
        Ok((identifier, params)) => {
            let key = Key::from(identifier.as_str());
            match params {
                None => cache.key(&key),
                Some(text) => cache.key(&key.params(Params::from_canonical(text))),
            }
        }
        Err(error) => {
            cache.reject(&error);
            Err(error)
        }
    }
}

/// Builds the keys of entries, in their order.
pub(crate) fn keys(cache: &ByteCache, keys: &[KeyArguments<'_>]) -> Vec<Result<WireKey, Error>> {
    keys.iter().map(|(identifier, params)| key(cache, identifier, params.as_ref())).collect()
}

fn parts(
    identifier: &Bound<'_, PyAny>,
    params: Option<&Bound<'_, PyAny>>,
) -> Result<(String, Option<String>), Error> {
    let identifier = text(identifier, ErrorKind::Key)?;
    let params = match params {
        Some(error) if error.is_instance_of::<PyException>() => {
            return Err(Error::new(ErrorKind::Key, error.to_string()));
        }
        params => params.map(|params| text(params, ErrorKind::Key)).transpose()?,
    };
    Ok((identifier, params))
}

/// Returns the text of an object, as `str` does.
fn text(object: &Bound<'_, PyAny>, kind: ErrorKind) -> Result<String, Error> {
    let text = match object.cast::<PyString>() {
        Ok(text) => text.extract(),
        Err(_) => object.str().and_then(|text| text.extract()),
    };
    text.map_err(|error| Error::new(kind, error.to_string()))
}

/// Reads the names of tags: an iterable of objects, each by its text.
pub(crate) fn names(names: &Bound<'_, PyAny>) -> Result<Vec<Result<String, Error>>, Error> {
    if names.is_instance_of::<PyString>() || names.is_instance_of::<PyBytes>() {
        let message = format!("tags are a list of texts: write [{names:?}] instead of {names:?}");
        return Err(Error::new(ErrorKind::Configuration, message));
    }
    let wrong = |error: PyErr| Error::new(ErrorKind::Configuration, error.to_string());
    let name = |name: PyResult<Bound<'_, PyAny>>| text(&name.map_err(wrong)?, ErrorKind::Key);
    Ok(names.try_iter().map_err(wrong)?.map(name).collect())
}

/// Reads the options of a call. `None` stands for the cache's own.
pub(crate) fn options(
    ttl: Option<&Bound<'_, PyAny>>,
    tags: Option<&Bound<'_, PyAny>>,
) -> CallOptions {
    let mut options = CallOptions::default();
    if let Some(ttl) = ttl {
        options = options.time_to_live(lifetime(ttl));
    }
    if let Some(tags) = tags {
        let names = names(tags).and_then(|names| names.into_iter().collect::<Result<Vec<_>, _>>());
        options = options.tags(names);
    }
    options
}

/// Reads how long it is kept that there is no value: 0 for not at all.
pub(crate) fn negative(ttl: &Bound<'_, PyAny>) -> Result<NegativeTtl, Error> {
    lifetime(ttl).map(|ttl| if ttl.is_zero() { NegativeTtl::Off } else { NegativeTtl::For(ttl) })
}

/// Reads a lifetime: a number of seconds or a `timedelta`.
fn lifetime(ttl: &Bound<'_, PyAny>) -> Result<Duration, Error> {
    let wrong = |error: PyErr| Error::new(ErrorKind::Configuration, error.to_string());
    let seconds = match ttl.extract::<f64>() {
        Ok(seconds) => seconds,
        Err(error) => match ttl.call_method0("total_seconds") {
            Ok(seconds) => seconds.extract().map_err(wrong)?,
            Err(_) => return Err(wrong(error)),
        },
    };
    seconds_of(seconds)
}

/// Reads how a call uses what is cached.
pub(crate) fn mode(name: &str) -> PyResult<Mode> {
    match name {
        "use" => Ok(Mode::Use),
        "reload" => Ok(Mode::Reload),
        "bypass" => Ok(Mode::Bypass),
        "undecodable" => Ok(Mode::Undecodable),
        other => Err(wrong(format!("there is no mode {other}"))),
    }
}

pub(crate) fn layout(number: u8) -> PyResult<KeyLayout> {
    match number {
        1 => Ok(KeyLayout::V1),
        2 => Ok(KeyLayout::V2),
        other => Err(wrong(format!("there is no key layout {other}: use 1 or 2"))),
    }
}

/// Reads a time in seconds.
pub(crate) fn duration(seconds: f64) -> PyResult<Duration> {
    seconds_of(seconds).map_err(|error| wrong(error.to_string()))
}

fn seconds_of(seconds: f64) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        Error::new(ErrorKind::Configuration, format!("{seconds} is not a time in seconds"))
    })
}
