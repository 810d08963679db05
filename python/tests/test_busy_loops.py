"""Tests of event loops that are too busy to wait, and of many calls at once.

The managers have the default timeouts: a server that answers must not be taken for slow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from conftest import RedisServer

from hotshelf import CacheManager, CacheService


@pytest.fixture
async def manager(server: RedisServer) -> AsyncIterator[CacheManager]:
    manager = CacheManager(server.url)
    assert await manager.ping()
    yield manager
    await manager.close()


class Loads:
    """Counts the runs of a factory."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return 7


async def blocking(seconds: float) -> None:
    """What a synchronous driver, a template or a large `json.dumps` does to a loop."""
    time.sleep(seconds)


@pytest.mark.parametrize("seconds", [0.12, 0.3])
async def test_blocked_loop_loses_no_hit(manager: CacheManager, seconds: float) -> None:
    cache = CacheService[int](manager, "numbers", int)
    loads = Loads()
    assert await cache.set("k", 1)
    for sent_before in (False, True, False, True):
        reads = [asyncio.ensure_future(cache.get("k")) for _ in range(20)]
        calls = [asyncio.ensure_future(cache.get_or_set("k", loads)) for _ in range(20)]
        if sent_before:
            await asyncio.sleep(0)
        blocker = asyncio.ensure_future(blocking(seconds))
        assert await asyncio.gather(*reads, *calls) == [1] * 40
        await blocker
    assert (loads.count, cache.stats()["misses"], cache.stats()["errors"]) == (0, 0, 0)


async def test_blocked_loop_reports_what_was_done(manager: CacheManager) -> None:
    cache = CacheService[int](manager, "numbers", int)
    assert await cache.set("k", 1)
    deleting = asyncio.ensure_future(cache.delete("k"))
    blocker = asyncio.ensure_future(blocking(0.5))
    assert await deleting
    setting = asyncio.ensure_future(cache.set("k", 2))
    another = asyncio.ensure_future(blocking(0.5))
    assert await setting
    await asyncio.gather(blocker, another)
    assert await cache.get("k") == 2


async def test_many_calls_at_once_hit(manager: CacheManager) -> None:
    """Cold keys are loaded once and stored; warm keys run no factory."""
    cache = CacheService[int](manager, "numbers", int)
    loads = Loads()
    for _ in range(2):
        values = await asyncio.gather(*(cache.get_or_set(key, loads) for key in range(20_000)))
        assert values == [7] * 20_000
        assert loads.count == 20_000
    stats = cache.stats()
    assert (stats["hits"], stats["degraded"], stats["errors"]) == (20_000, 0, 0)
