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

if TYPE_CHECKING:
    from hotshelf import CacheManager, sync

__all__ = ["CacheCollector"]


class CacheCollector(Collector):
    """Collects the metrics of a manager when they are scraped. They exist anyway, so that calls cost
    nothing more. With several worker processes, each has its own: scrape each of them."""

    def __init__(self, manager: CacheManager | sync.CacheManager) -> None:
        asynchronous: Any = getattr(manager, "asynchronous", manager)
        self._manager: CacheManager = asynchronous

    def describe(self) -> Iterator[Metric]:
        """Returns nothing: which metrics there are depends on the manager, which may not be open."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Returns the metrics of now."""
        store = self._manager._store
        for name, text, kind, samples in [] if store is None else store.metrics():
            names = list(samples[0][0]) if samples else []
            if kind == "histogram":
                histogram = HistogramMetricFamily(name, text, labels=names)
                for labels, (buckets, total) in samples:
                    histogram.add_metric(list(labels.values()), _cumulative(buckets), total)
                yield histogram
                continue
            family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
            metric = family(name, text, labels=names)
            for labels, value in samples:
                metric.add_metric(list(labels.values()), value)
            yield metric


def _cumulative(buckets: list[tuple[float, int]]) -> list[tuple[str, float]]:
    total, cumulative = 0, []
    for bound, count in buckets:
        total += count
        cumulative.append(("+Inf" if bound == math.inf else str(bound), float(total)))
    return cumulative
