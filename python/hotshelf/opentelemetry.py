"""Metrics for OpenTelemetry.

    instrument(cache)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider

from hotshelf._hotshelf import __version__

if TYPE_CHECKING:
    from hotshelf import CacheManager, sync

__all__ = ["instrument"]

#: The metrics, with their types: a manager that isn't open doesn't know them.
_COUNTERS = (
    "cache_gets_total", "cache_puts_total", "cache_loads_total", "cache_coalesced_total",
    "cache_stale_served_total", "cache_refused_total", "cache_degraded_total",
    "cache_load_timeouts_total", "cache_errors_total", "cache_invalidations_total",
    "cache_backend_errors_total", "cache_evictions_total",
)  # fmt: skip
_GAUGES = (
    "cache_backend_up", "cache_size", "cache_weight_bytes", "cache_max_weight_bytes",
    "cache_near_validity_age_seconds",
)  # fmt: skip


def instrument(
    manager: CacheManager | sync.CacheManager, meter_provider: MeterProvider | None = None
) -> None:
    """Adds the metrics of a manager to a meter, which observes them when it exports. They exist
    anyway, so that calls cost nothing more. Durations of loads are two counters,
    `cache_load_duration_seconds_sum` and `_count`.

    Args:
        manager: The manager, open or not.
        meter_provider: The provider of the meter. Default: the global one.
    """
    owner: Any = getattr(manager, "asynchronous", manager)
    provider = get_meter_provider() if meter_provider is None else meter_provider
    meter = provider.get_meter("hotshelf", __version__)

    def observed(name: str, part: int | None = None) -> Any:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            store = owner._store
            families = [] if store is None else store.metrics()
            for labels, value in (it for known, _, _, all in families if known == name for it in all):
                if part is None:
                    yield Observation(value, labels)
                else:
                    buckets, total = value
                    yield Observation((total, sum(it for _, it in buckets))[part], labels)

        return observe

    for name in _COUNTERS:
        meter.create_observable_counter(name, [observed(name)])
    for name in _GAUGES:
        meter.create_observable_gauge(name, [observed(name)])
    name = "cache_load_duration_seconds"
    meter.create_observable_counter(f"{name}_sum", [observed(name, 0)], unit="s")
    meter.create_observable_counter(f"{name}_count", [observed(name, 1)])
