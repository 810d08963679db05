//! The defaults of the core, for a test that compares Python's signatures with them.

use hotshelf_core::Namespace;
use hotshelf_core::cache::{CacheOptions, Foreign};
use hotshelf_core::near::NearOptions;
use hotshelf_redis::{DEFAULT_CONNECT_TIMEOUT, DEFAULT_READ_TIMEOUT, DEFAULT_STORE_TIMEOUT};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::arguments::LAYOUTS;

/// Returns the core's default of each option, with times in seconds.
#[pyfunction]
pub(crate) fn defaults(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let CacheOptions {
        time_to_live,
        jitter,
        // In Python, `None` is cached like other values by default.
        negative_ttl: _,
        wait_timeout,
        backend_budget,
        max_waiters,
        max_value_bytes,
        foreign,
        strict_plain,
        epoch,
        near,
        stale_while_revalidate,
        stale_if_error,
        error_throttle,
        early_refresh,
        soft_timeout,
        hard_timeout,
        error_backoff,
        hold,
        plain_readers,
    } = CacheOptions::default();
    let namespace = Namespace::new("");
    let all = PyDict::new(py);
    all.set_item("ttl", time_to_live.as_secs_f64())?;
    all.set_item("jitter", jitter.as_ratio())?;
    all.set_item("wait_timeout", wait_timeout.as_secs_f64())?;
    all.set_item("backend_budget", backend_budget.as_secs_f64())?;
    all.set_item("max_waiters", max_waiters)?;
    all.set_item("max_value_bytes", max_value_bytes)?;
    all.set_item("foreign", foreign == Foreign::Accept)?;
    all.set_item("strict_plain", strict_plain)?;
    all.set_item("epoch", epoch)?;
    all.set_item("near", near)?;
    all.set_item("stale_while_revalidate", stale_while_revalidate.as_secs_f64())?;
    all.set_item("stale_if_error", stale_if_error.as_secs_f64())?;
    all.set_item("error_throttle", error_throttle.as_secs_f64())?;
    all.set_item("early_refresh", early_refresh)?;
    all.set_item("soft_timeout", soft_timeout.map(|timeout| timeout.as_secs_f64()))?;
    all.set_item("hard_timeout", hard_timeout.map(|timeout| timeout.as_secs_f64()))?;
    all.set_item("error_backoff", error_backoff.as_secs_f64())?;
    all.set_item("hold", hold.as_secs_f64())?;
    all.set_item("plain_readers", plain_readers)?;
    let NearOptions { max_bytes, max_staleness, time_to_live, without_reports, .. } =
        NearOptions::default();
    let tier = PyDict::new(py);
    tier.set_item("max_bytes", max_bytes)?;
    tier.set_item("max_staleness", max_staleness.as_secs_f64())?;
    tier.set_item("ttl", time_to_live.as_secs_f64())?;
    // None: reports are of what was read.
    tier.set_item("broadcast", PyTuple::empty(py))?;
    tier.set_item("without_reports", without_reports)?;
    all.set_item("near_tier", tier)?;
    all.set_item("prefix", namespace.prefix_name())?;
    all.set_item("version", namespace.version_name())?;
    let layout = LAYOUTS.iter().find(|(_, layout)| *layout == namespace.layout_in_use());
    all.set_item("key_layout", layout.map(|(name, _)| *name))?;
    all.set_item("connect_timeout", DEFAULT_CONNECT_TIMEOUT.as_secs_f64())?;
    all.set_item("read_timeout", DEFAULT_READ_TIMEOUT.as_secs_f64())?;
    all.set_item("store_timeout", DEFAULT_STORE_TIMEOUT.as_secs_f64())?;
    all.set_item("memory_capacity", hotshelf_memory::DEFAULT_CAPACITY)?;
    Ok(all)
}
