"""The metrics of a manager: one that isn't open doesn't know them."""

from __future__ import annotations

COUNTERS = (
    "cache_gets_total", "cache_puts_total", "cache_loads_total", "cache_coalesced_total",
    "cache_stale_served_total", "cache_refused_total", "cache_degraded_total",
    "cache_load_timeouts_total", "cache_errors_total", "cache_invalidations_total",
    "cache_backend_errors_total", "cache_evictions_total",
)  # fmt: skip

GAUGES = (
    "cache_backend_up", "cache_size", "cache_weight_bytes", "cache_max_weight_bytes",
    "cache_near_validity_age_seconds",
)  # fmt: skip

HISTOGRAM = "cache_load_duration_seconds"
