"""A source of values, and caches of stale ones, for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from hotshelf import CacheManager, CacheService

MINUTE = 60


class Down(Exception):
    """The source fails."""


class Source:
    """A source whose value and failures a test sets, and that counts its loads."""

    def __init__(self) -> None:
        self.value = 1
        self.error: Exception | None = None
        self.loads = 0
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.cancelled = 0

    async def load(self) -> int:
        self.loads += 1
        value = self.value
        self.began.set()
        try:
            await asyncio.sleep(0)
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return value

    def stop(self) -> None:
        """Makes loads wait from now on."""
        self.began.clear()
        self.go.clear()


def numbers(manager: CacheManager, **options: Any) -> CacheService[int]:
    return CacheService(manager, "numbers", int, ttl=MINUTE, backend_budget=5, **options)


async def made_stale(cache: CacheService[int], source: Source, value: int = 1) -> None:
    """Loads a value, and makes it stale in all caches of the same server."""
    newest, source.value = source.value, value
    await cache.get_or_set("k", source.load, reload=True)
    source.value = newest
    assert await cache.expire("k")
    await until(lambda: is_missing(cache))


async def is_missing(cache: CacheService[Any], key: str = "k") -> bool:
    return await cache.get(key) is None


async def is_stored(cache: CacheService[int], value: int) -> bool:
    return await cache.get("k") == value


async def until(holds: Callable[[], Any], within: float = 5.0) -> None:
    """Waits until a condition holds, sync or async."""
    deadline = time.monotonic() + within
    while True:
        held = holds()
        if await held if asyncio.iscoroutine(held) else held:
            return
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.005)
