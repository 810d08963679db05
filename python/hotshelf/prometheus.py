"""Metrics for the registry of `prometheus_client`.

    REGISTRY.register(CacheCollector(cache))
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from hotshelf._metric_names import COUNTERS, GAUGES, HISTOGRAM

if TYPE_CHECKING:
    from hotshelf import CacheManager, sync

__all__ = ["CacheCollector"]


class CacheCollector(Collector):
    """Collects the metrics of managers when they are scraped. They exist anyway, so that calls cost
    nothing more. With several worker processes, each has its own: scrape each of them.

    A registry takes one collector: with several managers, name each, for the label `store`:

        REGISTRY.register(CacheCollector(main=cache, sessions=sessions))
    """

    def __init__(
        self,
        manager: CacheManager | sync.CacheManager | None = None,
        **managers: CacheManager | sync.CacheManager,
    ) -> None:
        """Creates a collector.

        Args:
            manager: The only manager.
            managers: Several, by their names.

        Raises:
            TypeError: Without a manager, or for an unnamed one among several.
        """
        if (manager is None) == (not managers):
            raise TypeError("pass one manager, or several by name: CacheCollector(main=cache, …)")
        if manager is not None:
            managers = {"": manager}
        asynchronous: dict[str, Any] = {
            name: getattr(it, "asynchronous", it) for name, it in managers.items()
        }
        self._managers: dict[str, CacheManager] = asynchronous

    def describe(self) -> Iterator[Metric]:
        """Returns the metrics without values, so that a registry refuses a second collector."""
        for name in COUNTERS:
            yield CounterMetricFamily(name, "")
        for name in GAUGES:
            yield GaugeMetricFamily(name, "")
        yield HistogramMetricFamily(HISTOGRAM, "")

    def collect(self) -> Iterator[Metric]:
        """Returns the metrics of now."""
        families: dict[str, Metric] = {}
        for store, manager in self._managers.items():
            opened = manager._store
            for name, text, kind, samples in [] if opened is None else opened.metrics():
                if not samples:
                    continue
                label = {"store": store} if store else {}
                names = [*label, *samples[0][0]]
                metric = families.setdefault(name, _FAMILIES[kind](name, text, labels=names))
                for labels, value in samples:
                    _add(metric, [*label.values(), *labels.values()], value)
        yield from families.values()


_FAMILIES: dict[str, Any] = {
    "counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily,
}  # fmt: skip


def _add(metric: Any, labels: list[str], value: Any) -> None:
    if isinstance(metric, HistogramMetricFamily):
        buckets, total = value
        metric.add_metric(labels, _cumulative(buckets), total)
    else:
        metric.add_metric(labels, value)


def _cumulative(buckets: list[tuple[float, int]]) -> list[tuple[str, float]]:
    total, cumulative = 0, []
    for bound, count in buckets:
        total += count
        cumulative.append(("+Inf" if bound == math.inf else str(bound), float(total)))
    return cumulative
