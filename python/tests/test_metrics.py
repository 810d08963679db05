"""Tests of metrics and events."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics import parser
from prometheus_client.parser import text_string_to_metric_families

from hotshelf import CacheManager
from hotshelf.opentelemetry import instrument
from hotshelf.prometheus import CacheCollector
from hotshelf.testing import Failures


def values(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Returns the samples of a text of Prometheus, by their names and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of_numbers(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    labels |= {"cache": "numbers", "prefix": "cache", "version": "v1"}
    return name, tuple(sorted(labels.items()))


async def used(cache: CacheManager) -> None:
    numbers = cache.service("numbers", int)
    for key in (1, 2):
        await numbers.get_or_set(key, lambda: 7)
    await numbers.get(1)
    await numbers.delete(1)
    with pytest.raises(ZeroDivisionError):
        await numbers.get_or_set(3, lambda: 1 // 0)


@pytest.mark.parametrize("name", ["get", "get_or_set", "cached"])
async def test_each_read_is_one_get(hotshelf_cache: CacheManager, name: str) -> None:
    """The first hit of an entry, too, which is decoded then."""
    numbers = hotshelf_cache.service("numbers", int)
    blocking = numbers.sync

    @numbers.cached(key=lambda: 1)
    async def awaited() -> int:
        return 7

    @blocking.cached(key=lambda: 1)
    def called() -> int:
        return 7

    reads = {
        "get": (numbers.get, blocking.get, (1,)),
        "get_or_set": (numbers.get_or_set, blocking.get_or_set, (1, lambda: 7)),
        "cached": (awaited, called, ()),
    }
    read, read_in_thread, arguments = reads[name]
    expected = 0
    for _ in range(2):
        assert await numbers.set(1, 7)
        for _ in range(2):
            assert await read(*arguments) == 7  # type: ignore[operator]
        assert await numbers.set(1, 7)
        for _ in range(2):
            assert await asyncio.to_thread(read_in_thread, *arguments) == 7  # type: ignore[arg-type]
        expected += 4
        assert numbers.stats()["hits"] == expected


async def test_text_is_that_of_prometheus(hotshelf_cache: CacheManager) -> None:
    await used(hotshelf_cache)
    found = values(hotshelf_cache.metrics_text())
    assert found[of_numbers("cache_gets_total", tier="memory", result="hit")] == 1
    assert found[of_numbers("cache_gets_total", tier="memory", result="miss")] == 3
    assert found[of_numbers("cache_puts_total")] == 2
    assert found[of_numbers("cache_loads_total", result="success")] == 2
    assert found[of_numbers("cache_loads_total", result="failure")] == 1
    assert found[of_numbers("cache_load_duration_seconds_count")] == 3
    assert found["cache_invalidations_total", (("kind", "key"),)] == 1
    assert found["cache_backend_up", (("backend", "memory"),)] == 1


async def test_size_of_memory_is_known() -> None:
    cache = CacheManager("memory://")
    await used(cache)
    found = values(cache.metrics_text())
    assert found["cache_size", (("tier", "memory"),)] == 1
    assert found["cache_weight_bytes", (("tier", "memory"),)] > 0
    assert found["cache_evictions_total", (("cause", "size"), ("tier", "memory"))] == 0
    await cache.close()


async def test_collector_of_prometheus_client_says_the_same(hotshelf_cache: CacheManager) -> None:
    registry = CollectorRegistry()
    registry.register(CacheCollector(hotshelf_cache.sync))
    await used(hotshelf_cache)
    collected = values(generate_latest(registry).decode())
    for name, value in values(hotshelf_cache.metrics_text()).items():
        assert collected[name] == value, name
    other = CollectorRegistry()
    other.register(CacheCollector(CacheManager()))
    assert generate_latest(other) == b"", "a manager that isn't open"


async def test_registry_takes_several_managers_by_name(hotshelf_cache: CacheManager) -> None:
    registry, other = CollectorRegistry(), CacheManager("memory://")
    await used(hotshelf_cache)
    await used(other)
    registry.register(CacheCollector(main=hotshelf_cache, other=other.sync))
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(CacheCollector(other))
    text = openmetrics.generate_latest(registry).decode()
    families = list(parser.text_string_to_metric_families(text))
    puts = {
        sample.labels["store"]: sample.value
        for family in families if family.name == "cache_puts" for sample in family.samples
    }  # fmt: skip
    assert puts == {"main": 2, "other": 2}
    for arguments in ({"manager": other, "main": other}, {}):
        with pytest.raises(TypeError, match="one manager, or several by name"):
            CacheCollector(**arguments)


async def test_meter_of_opentelemetry_observes_the_same(hotshelf_cache: CacheManager) -> None:
    reader = InMemoryMetricReader()
    instrument(hotshelf_cache, MeterProvider([reader]))
    await used(hotshelf_cache)
    exported: Any = reader.get_metrics_data()
    found = {
        (metric.name, tuple(sorted(point.attributes.items()))): point.value
        for resource in exported.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }
    for name, value in values(hotshelf_cache.metrics_text()).items():
        if "_bucket" not in name[0]:
            assert found[name] == value, name


async def test_events_tell_what_happened(
    hotshelf_cache: CacheManager, hotshelf_failures: Failures
) -> None:
    numbers = hotshelf_cache.service("numbers", int)
    await numbers.delete(1)
    with hotshelf_failures.during():
        await numbers.get(1)
        await numbers.get(1)
    hotshelf_cache.set_enabled(False)
    invalidated, fails, disabled = hotshelf_cache.events()
    assert (invalidated["kind"], invalidated["by"], invalidated["succeeded"]) == (
        "invalidated", "key", True,
    )  # fmt: skip
    assert invalidated["names"] == ["cache:v1:numbers:1"]
    assert (fails["kind"], fails["operation"]) == ("backend_fails", "read")
    assert disabled["kind"] == "enabled" and disabled["age"] >= 0
    assert hotshelf_cache.sync.events(disabled["number"]) == [
        {**disabled, "age": pytest.approx(disabled["age"], abs=5)}
    ]
