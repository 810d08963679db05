//! Converts arguments of Python calls.
//!
//! An invalid argument becomes an error that the core counts and logs. It stops neither a
//! factory nor the other keys of a call.

use std::time::Duration;

use hotshelf_core::cache::{ByteCache, CallOptions, Decision, EntryKey, Mode, NegativeTtl};
use hotshelf_core::near::ConsistencyToken;
use hotshelf_core::{Error, ErrorKind, Key, KeyLayout, Params, TagId};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString, PyTuple, PyType};

use crate::errors::{exception, value_error};
use crate::finalization;

/// An identifier, and the parameters as text or as the exception that was raised instead.
pub(crate) type KeyArguments<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyAny>>);

/// Returns the key of an entry. An invalid one is counted.
pub(crate) fn key(
    cache: &ByteCache,
    identifier: &Bound<'_, PyAny>,
    params: Option<&Bound<'_, PyAny>>,
) -> PyResult<Result<EntryKey, Error>> {
    Ok(match any_key(cache, identifier, params)? {
        Ok(key) => Ok(cache.key(&key)),
        Err(error) => {
            cache.reject(&error);
            Err(error)
        }
    })
}

/// Returns the keys of entries, in their order.
pub(crate) fn keys(
    cache: &ByteCache,
    keys: &[KeyArguments<'_>],
) -> PyResult<Vec<Result<EntryKey, Error>>> {
    keys.iter().map(|(identifier, params)| key(cache, identifier, params.as_ref())).collect()
}

/// Returns the key of an identifier and the canonical text of parameters.
pub(crate) fn any_key<'a>(
    cache: &ByteCache,
    identifier: &'a Bound<'_, PyAny>,
    params: Option<&Bound<'_, PyAny>>,
) -> PyResult<Result<Key<'a>, Error>> {
    let key = match cache.namespace().layout_in_use() {
        // fastapi-rc formats whatever it is passed.
        KeyLayout::FastapiRc => text(identifier)?.map(Key::new),
        _ => key_of(identifier)?,
    };
    let params = match params {
        Some(error) if error.is_instance_of::<PyException>() => {
            Err(Error::new(ErrorKind::Key, error.to_string()))
        }
        Some(params) => text(params)?.map(Some),
        None => Ok(None),
    };
    Ok(key.and_then(|key| {
        Ok(match params? {
            Some(text) => key.params(Params::from_canonical(text)),
            None => key,
        })
    }))
}

/// Returns the key of a string, an integer, a UUID, or a tuple of these. Other objects are
/// rejected: the text of `None` would be one key for all of them.
fn key_of<'a>(identifier: &'a Bound<'_, PyAny>) -> PyResult<Result<Key<'a>, Error>> {
    // The usual case, without a copy.
    if let Ok(text) = identifier.cast_exact::<PyString>()
        && let Ok(text) = text.to_str()
    {
        return Ok(Ok(Key::new(text)));
    }
    if identifier.is_instance_of::<PyString>() || is_number(identifier) || is_uuid(identifier)? {
        return Ok(text(identifier)?.map(Key::new));
    }
    if let Ok(tuple) = identifier.cast::<PyTuple>()
        && tuple.len() > 1
    {
        let elements = tuple.iter().map(|element| Ok(key_of(&element)?.map(Key::into_owned)));
        let elements = elements.collect::<PyResult<Result<Vec<_>, Error>>>()?;
        return Ok(elements.map(|elements| {
            Key::from_elements(elements).expect("there is more than one element")
        }));
    }
    let kind = identifier.get_type().name()?;
    let message = format!(
        "invalid identifier of type {kind}: use a str, an int, a UUID, or a tuple of these"
    );
    Ok(Err(Error::new(ErrorKind::Key, message)))
}

fn is_number(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyInt>() && !object.is_instance_of::<PyBool>()
}

fn is_uuid(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    static UUID: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    object.is_instance(UUID.import(object.py(), "uuid", "UUID")?)
}

/// Returns the text of an object as `str` does, for a key, a tag or a pattern.
pub(crate) fn text(object: &Bound<'_, PyAny>) -> PyResult<Result<String, Error>> {
    let text = match object.cast_exact::<PyString>() {
        Ok(text) => text.extract(),
        // `str()` of a subclass of `str`, such as an enumeration, may be another text. It is code
        // of the object.
        Err(_) => {
            let _inside = finalization::enter(object.py());
            object.str().and_then(|text| text.extract())
        }
    };
    converted(ErrorKind::Key, text)
}

/// Converts an `Exception` to an error. Others, such as `KeyboardInterrupt`, are passed on.
fn converted<V>(kind: ErrorKind, result: PyResult<V>) -> PyResult<Result<V, Error>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if Python::attach(|py| error.is_instance_of::<PyException>(py)) => {
            Ok(Err(Error::new(kind, error.to_string())))
        }
        Err(error) => Err(error),
    }
}

/// Converts an iterable of objects to the names of tags, each by its text.
pub(crate) fn names(
    names: &Bound<'_, PyAny>,
) -> PyResult<Result<Vec<Result<String, Error>>, Error>> {
    if names.is_instance_of::<PyString>() || names.is_instance_of::<PyBytes>() {
        let message = format!("`tags` must be a list of strings: use [{names:?}], not {names:?}");
        return Ok(Err(Error::new(ErrorKind::Configuration, message)));
    }
    let items = names.try_iter().and_then(|names| names.collect::<PyResult<Vec<_>>>());
    match converted(ErrorKind::Configuration, items)? {
        Ok(items) => {
            let names = items.iter().map(|item| text(item));
            names.collect::<PyResult<Vec<_>>>().map(Ok)
        }
        Err(error) => Ok(Err(error)),
    }
}

/// Converts the options of a call. `None` means the option of the cache.
pub(crate) fn options(
    ttl: Option<&Bound<'_, PyAny>>,
    tags: Option<&Bound<'_, PyAny>>,
) -> PyResult<CallOptions> {
    let mut options = CallOptions::default();
    if let Some(ttl) = ttl {
        options = options.time_to_live(lifetime(ttl)?);
    }
    let no_tags =
        |tags: &&Bound<'_, PyAny>| tags.cast_exact::<PyTuple>().is_ok_and(PyTupleMethods::is_empty);
    if let Some(tags) = tags.filter(|tags| !no_tags(tags)) {
        let names = names(tags)?.and_then(|names| names.into_iter().collect::<Result<Vec<_>, _>>());
        options = options.tags(names);
    }
    Ok(options)
}

/// Converts the options of a loading call.
pub(crate) fn load_options(
    cache: &ByteCache,
    tags: Option<&Bound<'_, PyAny>>,
    ttl: Option<&Bound<'_, PyAny>>,
    negative_ttl: Option<&Bound<'_, PyAny>>,
    mode_name: &str,
    after: Option<&Bound<'_, PyAny>>,
) -> PyResult<CallOptions> {
    let options = options(ttl, tags)?.takes_absent(true).mode(mode(mode_name)?);
    let options = options.after(token(cache, after));
    Ok(match negative_ttl {
        Some(ttl) => options.negative_ttl(negative(ttl)?),
        None => options,
    })
}

/// Converts what a factory has decided about its value. `None` means that it has decided nothing.
pub(crate) fn decision(
    ttl: Option<&Bound<'_, PyAny>>,
    tags: Option<&Bound<'_, PyAny>>,
) -> PyResult<Decision> {
    let ids = |names: Vec<Result<String, Error>>| names.into_iter().map(|name| TagId::of(&name?));
    Ok(Decision {
        time_to_live: ttl.map(lifetime).transpose()?,
        tags: match tags {
            Some(tags) => Some(names(tags)?.and_then(|names| ids(names).collect())),
            None => None,
        },
        ..Decision::default()
    })
}

/// Converts the text of a consistency token. An invalid one, which a client may have sent, is
/// counted, and taken for a new one.
pub(crate) fn token(
    cache: &ByteCache,
    text: Option<&Bound<'_, PyAny>>,
) -> Option<ConsistencyToken> {
    let token = match text?.extract::<String>() {
        Ok(text) => text.parse(),
        Err(_) => "".parse(),
    };
    Some(token.unwrap_or_else(|error| {
        cache.reject_option(&error);
        ConsistencyToken::random(cache.runtime())
    }))
}

/// Converts the lifetime of cached negatives; 0 turns them off.
pub(crate) fn negative(ttl: &Bound<'_, PyAny>) -> PyResult<Result<NegativeTtl, Error>> {
    let negative = |ttl: Duration| match ttl.is_zero() {
        true => NegativeTtl::Off,
        false => NegativeTtl::For(ttl),
    };
    Ok(lifetime(ttl)?.map(negative))
}

/// Converts a lifetime: a number of seconds, as `float` accepts it, or a `timedelta`.
fn lifetime(ttl: &Bound<'_, PyAny>) -> PyResult<Result<Duration, Error>> {
    let seconds = ttl.extract::<f64>().or_else(|_| match ttl.getattr("total_seconds") {
        Ok(total_seconds) => total_seconds.call0()?.extract(),
        Err(_) => ttl.py().get_type::<PyFloat>().call1((ttl,))?.extract(),
    });
    Ok(converted(ErrorKind::Configuration, seconds)?.and_then(seconds_of))
}

/// The modes of a call, by name.
const MODES: [(&str, Mode); 5] = [
    ("use", Mode::Use),
    ("reload", Mode::Reload),
    ("bypass", Mode::Bypass),
    ("own_key", Mode::OwnKey),
    ("undecodable", Mode::Undecodable),
];

/// Returns the mode of a name.
pub(crate) fn mode(name: &str) -> PyResult<Mode> {
    let mode = MODES.iter().find(|(known, _)| *known == name).map(|(_, mode)| *mode);
    mode.ok_or_else(|| value_error(format!("invalid mode {name:?}: use one of {MODES:?}")))
}

/// Returns the mode in which a call continues after an entry that it could not decode.
#[pyfunction]
pub(crate) fn mode_after_undecodable(name: &str) -> PyResult<&'static str> {
    let next = mode(name)?.after_undecodable();
    Ok(MODES.iter().find(|(_, mode)| *mode == next).map_or("bypass", |(name, _)| name))
}

/// The key layouts, by name.
pub(crate) const LAYOUTS: [(&str, KeyLayout); 2] =
    [("injective", KeyLayout::Injective), ("fastapi_rc", KeyLayout::FastapiRc)];

/// Returns the key layout of a name.
pub(crate) fn layout(name: &str) -> PyResult<KeyLayout> {
    let layout = LAYOUTS.iter().find(|(known, _)| *known == name).map(|(_, layout)| *layout);
    layout.ok_or_else(|| {
        let message = format!("invalid key layout {name:?}: use \"injective\" or \"fastapi_rc\"");
        exception(&Error::new(ErrorKind::Configuration, message))
    })
}

/// Converts a number of seconds.
pub(crate) fn duration(seconds: f64) -> PyResult<Duration> {
    seconds_of(seconds).map_err(|error| exception(&error))
}

/// Converts a count; `name` is the name of the argument.
pub(crate) fn count(name: &str, value: &Bound<'_, PyAny>) -> PyResult<usize> {
    value.extract().map_err(|_| {
        let message = format!("invalid `{name}` {value:?}: use a whole number, 0 or more");
        exception(&Error::new(ErrorKind::Configuration, message))
    })
}

fn seconds_of(seconds: f64) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        let message = format!("invalid time {seconds}: use a number of seconds, 0 or more");
        Error::new(ErrorKind::Configuration, message)
    })
}
