"""Tests of managers and applications that start, stop and restart."""

from __future__ import annotations

import asyncio
import logging

import pytest
from conftest import RedisServer, eventually, free_port

from hotshelf import CacheManager, CacheService, ConfigurationError


def test_application_restarts_on_another_loop(server: RedisServer) -> None:
    """FastAPI's `TestClient` does this with a cache in a module."""
    manager = CacheManager(server.url)
    held = CacheService[int](manager, "held", int)
    dependency = manager.service("made", int)
    runs = 0

    def compute() -> int:
        nonlocal runs
        runs += 1
        return 7

    async def serve() -> None:
        async with manager.lifespan():
            for cache in (held, await dependency()):
                assert await cache.get_or_set("1", compute) == 7
        assert not manager.is_open
        assert server.clients() == []

    for _ in range(3):
        asyncio.run(serve())
    assert runs == 2


async def test_application_starts_without_server(caplog: pytest.LogCaptureFixture) -> None:
    manager = CacheManager(f"redis://:secret@127.0.0.1:{free_port()}")
    with caplog.at_level(logging.WARNING, "hotshelf"):
        async with manager.lifespan():
            assert await CacheService[int](manager, "1", int).get_or_set("1", lambda: 7) == 7
    assert "starting without it" in caplog.text
    assert "secret" not in caplog.text


async def test_tag_invalidates_its_entries(manager: CacheManager) -> None:
    cache = CacheService[int](manager, "tagged", int)
    other = CacheService[int](manager, "others", int)
    await cache.get_or_set("1", lambda: 1, tags=["a", "b"])
    await cache.get_or_set("2", lambda: 2, tags=["b"])
    await other.set("3", 3, tags=["a"])
    await other.set("4", 4)
    assert await manager.invalidate_tag("a")
    assert [await cache.get("1"), await cache.get("2")] == [None, 2]
    assert [await other.get("3"), await other.get("4")] == [None, 4]


async def test_tag_invalidation_refuses_load(manager: CacheManager) -> None:
    cache = CacheService[str](manager, "tagged", str)
    began, go = asyncio.Event(), asyncio.Event()

    async def older() -> str:
        began.set()
        await go.wait()
        return "older"

    loading = asyncio.create_task(cache.get_or_set("1", older, tags=["a"]))
    await began.wait()
    assert await manager.invalidate_tags(["a"])
    go.set()
    assert await loading == "older"
    assert await cache.get_or_set("1", lambda: "newer", tags=["a"]) == "newer"


async def test_write_through_refuses_older_load(manager: CacheManager, server: RedisServer) -> None:
    cache = CacheService[str](manager, "written", str)
    began, go = asyncio.Event(), asyncio.Event()

    async def older() -> str:
        began.set()
        await go.wait()
        return "older"

    loading = asyncio.create_task(cache.get_or_set("1", older))
    await began.wait()
    assert await cache.write_through("1", lambda: "newer") == "newer"
    go.set()
    await loading
    assert await cache.get("1") == "newer"


@pytest.mark.parametrize("how", ["raise", "cancel", "close"])
async def test_failed_write_removes_entry(
    manager: CacheManager, server: RedisServer, how: str
) -> None:
    cache = CacheService[str](manager, "written", str)
    await cache.set("1", "older")
    began = asyncio.Event()

    async def write() -> str:
        began.set()
        if how == "raise":
            raise LookupError
        await asyncio.sleep(60)
        return "never"

    if how == "close":
        coroutine = cache.write_through("1", write)
        future = coroutine.send(None)
        while not began.is_set():
            await asyncio.wait([future])
            future = coroutine.send(None)
        coroutine.close()
    else:
        writing = asyncio.create_task(cache.write_through("1", write))
        await began.wait()
        if how == "cancel":
            writing.cancel()
        with pytest.raises((LookupError, asyncio.CancelledError)):
            await writing
    await eventually(lambda: server.keys() == [])


async def test_opening_twice_raises() -> None:
    manager = CacheManager("memory://")
    with pytest.raises(ConfigurationError, match="close"):
        manager.open("memory://")
    await manager.close()
    manager.open("memory://")
    assert await manager.ping()


async def test_closed_manager_runs_factories(manager: CacheManager) -> None:
    held = CacheService[int](manager, "numbers", int)
    await manager.close()
    assert not (await manager.health())["available"]
    for cache in (held, CacheService[int](manager, "others", int)):
        assert await cache.get_or_set("it", lambda: 1) == 1
        assert await cache.get("it") is None
        assert not await cache.set("it", 1)
        assert not await cache.delete("it")


@pytest.mark.parametrize("waits", [True, False])
async def test_close_leaves_no_leases(server: RedisServer, waits: bool) -> None:
    """A server cancels its requests at the end of its grace period, then ends the lifespan."""
    manager = CacheManager(server.url)
    cache = CacheService[int](manager, "numbers", int)

    async def slow() -> int:
        await asyncio.sleep(30)
        return 1

    async with manager.lifespan():
        loads = [asyncio.ensure_future(cache.get_or_set(key, slow)) for key in range(5)]
        await eventually(lambda: len(server.keys()) == 5)
        for load in loads[:4]:
            load.cancel()
        if waits:
            await asyncio.gather(*loads[:4], return_exceptions=True)
    assert server.keys() == []
    loads[4].cancel()


async def test_close_finishes_cancelled_write(server: RedisServer) -> None:
    manager = CacheManager(server.url)
    cache = CacheService[int](manager, "numbers", int)

    async def write() -> int:
        await asyncio.sleep(30)
        return 2

    async with manager.lifespan():
        assert await cache.set("k", 1)
        writing = asyncio.ensure_future(cache.write_through("k", write))
        await eventually(lambda: len(server.keys()) == 2)
        writing.cancel()
    assert server.keys() == [], "neither the outdated entry nor the lease is left"


def test_ended_loop_leaves_nothing(server: RedisServer) -> None:
    """Another loop of the process goes on with what a loop has begun."""
    manager = CacheManager(server.url)
    cache = CacheService[int](manager, "numbers", int)

    async def begin_and_end() -> None:
        assert await cache.set("k", 1)

        async def for_ever() -> int:
            await asyncio.sleep(30)
            return 2

        tasks = [
            asyncio.ensure_future(cache.write_through("k", for_ever)),
            asyncio.ensure_future(cache.get_or_set("j", for_ever)),
        ]
        await eventually(lambda: len(server.keys()) == 3)
        del tasks

    async def go_on() -> None:
        assert await cache.get("k") is None
        began = asyncio.get_running_loop().time()
        assert await cache.get_or_set("j", lambda: 7) == 7
        assert asyncio.get_running_loop().time() - began < 0.5
        assert await cache.get("j") == 7
        await manager.close()

    asyncio.run(begin_and_end())
    asyncio.run(go_on())


def test_services_of_a_reopened_manager_use_its_new_backend() -> None:
    """A view of a cache keeps to the backend that its store has now."""
    manager = CacheManager("memory://")
    cache = CacheService[int](manager, "numbers", int)

    async def use() -> None:
        assert await cache.set("1", 1) and await cache.get("1") == 1
        await manager.close()
        assert await cache.get("1") is None and not await cache.set("1", 1)
        manager.open()
        assert await cache.get("1") is None, "the memory of the closed one"
        assert await cache.set("1", 2) and await cache.get("1") == 2

    asyncio.run(use())
