"""Tests of filling a cache before it is used."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from staleness import MINUTE, Down, numbers, until

from hotshelf import CacheManager, ConfigurationError, Warmed


async def test_loads_what_is_missing(manager: CacheManager) -> None:
    cache = numbers(manager, jitter=False)
    await cache.set(3, 9)
    done: list[int] = []
    warmed = await cache.warm(range(20), lambda it: it * it, progress=done.append)
    assert warmed == Warmed(loaded=19, cached=1, failed=[])
    assert done == list(range(1, 21))
    assert await cache.get_many(range(20)) == [it * it for it in range(20)]
    left = [await cache.get_ttl(it) for it in range(20)]
    assert min(left) >= MINUTE // 2 - 1 and max(left) == MINUTE
    assert len(set(left)) > 10, "they end together"
    assert await cache.warm([], lambda it: it) == Warmed(0, 0, [])


async def test_failures_do_not_stop_it(manager: CacheManager) -> None:
    cache = numbers(manager)

    async def load(name: str) -> int | None:
        await asyncio.sleep(0)
        if name == "b":
            raise Down(name)
        return None if name == "c" else 1

    warmed = await cache.warm(["a", "b", "c"], load, concurrency=1)
    assert (warmed.loaded, warmed.cached) == (2, 0)
    ((name, error),) = warmed.failed
    assert name == "b" and isinstance(error, Down)
    assert (await cache.warm(iter("ac"), load)).cached == 2


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_runs_some_at_once(manager: CacheManager, concurrency: int) -> None:
    cache = numbers(manager)
    running, most = 0, 0

    async def load(_: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        return 1

    assert (await cache.warm(range(10), load, concurrency=concurrency)).loaded == 10
    assert most == concurrency


async def test_entries_have_the_options_of_later_calls(manager: CacheManager) -> None:
    cache = numbers(manager, jitter=False)
    await cache.warm(["a", "b"], lambda _: 1, ttl=1000, stagger=0, tags=lambda it: [f"tag:{it}"])
    assert await cache.get_ttl("a") == await cache.get_ttl("b") == 1000
    assert await cache.get_or_set("a", lambda: 2, tags=["tag:a"]) == 1
    await manager.invalidate_tag("tag:a")
    assert await cache.get_or_set("a", lambda: 2, tags=["tag:a"]) == 2
    assert await cache.get_or_set("b", lambda: 2, tags=["tag:b"]) == 1
    await cache.warm(["c"], lambda _: 3, tags=["t"])
    assert await cache.get_or_set("c", lambda: 2, tags=["t"]) == 3


async def test_cancelled_one_leaves_no_tasks(manager: CacheManager) -> None:
    cache = numbers(manager)
    before = asyncio.all_tasks()

    async def stuck(it: int) -> int:
        await asyncio.sleep(0 if it == 0 else 60)
        return 1

    call = asyncio.create_task(cache.warm(range(5), stuck))
    await until(lambda: has(cache, 0))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    def broken(done: int) -> None:
        raise Down

    with pytest.raises(Down):
        await cache.warm(range(5), stuck, progress=broken)
    assert asyncio.all_tasks() == before


async def has(cache: Any, key: int) -> bool:
    return await cache.get(key) is not None


@pytest.mark.parametrize(
    "options",
    [{"stagger": 2}, {"stagger": -0.1}, {"stagger": float("nan")}, {"concurrency": 0},
     {"concurrency": 1.5}, {"ttl": -1}],
)  # fmt: skip
async def test_invalid_options(manager: CacheManager, options: Any) -> None:
    with pytest.raises(ConfigurationError):
        await numbers(manager).warm(["a"], lambda _: 1, **options)
    with pytest.raises(TypeError):
        await numbers(manager).warm("ab", lambda _: 1)
