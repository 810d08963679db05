//! Converts results of the core and of servers to Python objects.

use hotshelf_core::near::NearInfo;
use hotshelf_core::observe::{FamilyKind, SampleValue, StoreMetrics};
use hotshelf_core::{CacheStats, ServerInfo};
use hotshelf_redis::Reply;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyList, PyString};
use serde_json::Value;

use crate::errors::{exception, value_error};

/// Converts the counters of a cache.
pub(crate) fn stats<'py>(py: Python<'py>, stats: &CacheStats) -> PyResult<Bound<'py, PyDict>> {
    Ok(serialized(py, serde_json::to_value(stats))?.cast_into()?)
}

/// Converts metrics: families of a name, a description, a type and samples.
pub(crate) fn families<'py>(
    py: Python<'py>,
    metrics: &StoreMetrics,
) -> PyResult<Bound<'py, PyAny>> {
    let mut families = Vec::new();
    for family in metrics.families() {
        let kind = match family.kind {
            FamilyKind::Counter => "counter",
            FamilyKind::Gauge => "gauge",
            _ => "histogram",
        };
        let mut samples = Vec::new();
        for sample in family.samples {
            let labels = PyDict::new(py);
            for (name, value) in sample.labels {
                labels.set_item(name, value)?;
            }
            let value = match sample.value {
                SampleValue::Number(value) => value.into_pyobject(py)?.into_any(),
                SampleValue::Times(times) => {
                    (times.buckets, times.sum).into_pyobject(py)?.into_any()
                }
                _ => continue,
            };
            samples.push((labels, value));
        }
        families.push((family.name, family.help, kind, samples));
    }
    Ok(families.into_pyobject(py)?.into_any())
}

/// Converts information about a server.
pub(crate) fn server_info<'py>(py: Python<'py>, info: &ServerInfo) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    all.set_item("version", &info.version)?;
    all.set_item("uptime", info.uptime.as_secs_f64())?;
    all.set_item("connected_clients", info.connected_clients)?;
    all.set_item("used_memory", info.used_memory)?;
    all.set_item("max_memory", info.max_memory)?;
    all.set_item("total_commands", info.total_commands)?;
    all.set_item("keyspace_hits", info.keyspace_hits)?;
    all.set_item("keyspace_misses", info.keyspace_misses)?;
    all.set_item("limitations", &info.limitations)?;
    Ok(all)
}

/// Converts the state of a near tier, with times in seconds.
pub(crate) fn near_info<'py>(py: Python<'py>, info: &NearInfo) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    all.set_item("entries", info.entries)?;
    all.set_item("used_bytes", info.used_bytes)?;
    all.set_item("max_bytes", info.max_bytes)?;
    all.set_item("max_staleness", info.max_staleness.as_secs_f64())?;
    Ok(all)
}

/// Converts what the core tells of calls and keys, with times in seconds.
pub(crate) fn serialized(
    py: Python<'_>,
    value: Result<Value, serde_json::Error>,
) -> PyResult<Bound<'_, PyAny>> {
    object(py, &value.map_err(|error| value_error(error.to_string()))?)
}

fn object<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(yes) => PyBool::new(py, *yes).to_owned().into_any(),
        Value::Number(number) => match number.as_u64() {
            Some(number) => number.into_pyobject(py)?.into_any(),
            None => number.as_f64().into_pyobject(py)?.into_any(),
        },
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(all) => {
            let all = all.iter().map(|one| object(py, one)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, all)?.into_any()
        }
        Value::Object(fields) => {
            if let (Some(seconds), Some(nanos), 2) =
                (fields.get("secs"), fields.get("nanos"), fields.len())
                && let (Some(seconds), Some(nanos)) = (seconds.as_f64(), nanos.as_f64())
            {
                return Ok((seconds + nanos / 1e9).into_pyobject(py)?.into_any());
            }
            let all = PyDict::new(py);
            for (name, field) in fields {
                all.set_item(name, object(py, field)?)?;
            }
            all.into_any()
        }
    })
}

/// Converts a reply. An error in it becomes an exception object, which is not raised.
pub(crate) fn reply(py: Python<'_>, reply: Reply) -> PyResult<Py<PyAny>> {
    Ok(match reply {
        Reply::Nil => py.None(),
        Reply::Integer(number) => number.into_pyobject(py)?.into_any().unbind(),
        Reply::Double(number) => number.into_pyobject(py)?.into_any().unbind(),
        Reply::Boolean(yes) => PyBool::new(py, yes).to_owned().into_any().unbind(),
        Reply::Bytes(bytes) => PyBytes::new(py, &bytes).into_any().unbind(),
        Reply::Text(text) => PyString::new(py, &text).into_any().unbind(),
        Reply::Array(items) => {
            let items: PyResult<Vec<_>> =
                items.into_iter().map(|item| self::reply(py, item)).collect();
            PyList::new(py, items?)?.into_any().unbind()
        }
        Reply::Map(pairs) => {
            let all = PyDict::new(py);
            for (name, value) in pairs {
                all.set_item(self::reply(py, name)?, self::reply(py, value)?)?;
            }
            all.into_any().unbind()
        }
        Reply::Error(error) => exception(&error).into_value(py).into_any(),
        other => return Err(value_error(format!("unsupported reply {other:?}"))),
    })
}
