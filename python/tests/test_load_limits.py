"""Tests of calls that stop waiting for a load, and of loads that go on in the background."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import time
import weakref
from typing import Any

import pytest
import uvloop
from conftest import RedisServer, Script
from staleness import MINUTE, Down, Source, is_stored, made_stale, numbers, until

from hotshelf import CacheManager, CacheService, LoadTimeoutError

SOFT, HARD = 0.05, 0.2
LIMITS = {"stale_if_error": MINUTE, "soft_timeout": SOFT, "hard_timeout": HARD}

request_of_caller: contextvars.ContextVar[str] = contextvars.ContextVar("request_of_caller")


@pytest.fixture
def other(server: RedisServer) -> Any:
    return CacheManager(server.url, connect_timeout=5, read_timeout=5, store_timeout=5)


async def test_slow_load_goes_on_in_the_background(
    manager: CacheManager, other: CacheManager
) -> None:
    one, two = numbers(manager, **LIMITS), numbers(other, **LIMITS)
    source = Source()
    await made_stale(one, source)
    source.value = 2
    source.stop()
    for cache in (one, two):
        began = time.monotonic()
        assert await cache.get_or_set("k", source.load, background=True) == 1
        assert SOFT * 0.9 < time.monotonic() - began < 5
    # For a second after it was too slow, calls need not wait as long for the same.
    assert await one.get_or_set("k", source.load, background=True) == 1
    assert source.loads == 2, "it never runs twice at once"
    assert one.stats()["timed_out"] == 1
    source.go.set()
    await until(lambda: is_stored(two, 2))
    await other.close()


async def test_slow_load_without_a_value_times_out_and_goes_on(
    manager: CacheManager, other: CacheManager
) -> None:
    one, two = numbers(manager, **LIMITS), numbers(other, **LIMITS)
    source = Source()
    source.stop()
    for cache in (one, one, two):
        began = time.monotonic()
        with pytest.raises(LoadTimeoutError):
            await cache.get_or_set("k", source.load, background=True)
        assert HARD * 0.9 < time.monotonic() - began < 5
    assert source.loads == 1
    source.go.set()
    await until(lambda: is_stored(two, 1))
    await other.close()


async def test_slow_factory_is_cancelled(manager: CacheManager, server: RedisServer) -> None:
    cache = numbers(manager, **LIMITS)
    source = Source()
    await made_stale(cache, source)
    source.stop()
    task = asyncio.current_task()
    assert await cache.get_or_set("k", source.load) == 1
    assert source.cancelled == 1
    await cache.delete("k")
    with pytest.raises(TimeoutError):
        await cache.get_or_set("k", source.load)
    assert source.cancelled == 2
    if sys.version_info >= (3, 11):
        assert task is not None and task.cancelling() == 0
    await until(lambda: server.keys() == [])
    source.go.set()
    assert await cache.get_or_set("k", source.load) == 1


async def test_limits_leave_quick_loads_alone(manager: CacheManager) -> None:
    cache = numbers(manager, **LIMITS)
    source = Source()
    for background in (False, True):
        assert await cache.get_or_set("k", source.load, background=background) == 1
        await cache.delete("k")
        source.error = Down()
        with pytest.raises(Down):
            await cache.get_or_set("k", source.load, background=background)
        source.error = None
        await cache.delete("k")
    await asyncio.sleep(HARD * 1.5)
    assert cache.stats()["timed_out"] == 0


@pytest.mark.parametrize("background", [False, True])
async def test_exceptions_are_in_no_cycle(manager: CacheManager, background: bool) -> None:
    cache = numbers(manager, hard_timeout=SOFT)
    source = Source()

    class Own(Exception):
        pass

    async def raised() -> weakref.ref[BaseException]:
        try:
            await cache.get_or_set("k", source.load, background=background)
        except (Own, LoadTimeoutError) as error:
            return weakref.ref(error)
        raise AssertionError

    gc.disable()
    try:
        source.stop()
        timed_out = await raised()
        assert timed_out() is None
        source.go.set()
        await cache.delete("k")
        source.error = Own()
        failed = weakref.ref(source.error)
        await raised()
        source.error = None
        await until(lambda: failed() is None, within=1)
    finally:
        gc.enable()


async def test_sync_factory_is_not_interrupted(manager: CacheManager) -> None:
    cache = numbers(manager, **LIMITS)

    def slow() -> int:
        time.sleep(HARD * 1.5)
        return 1

    assert await cache.get_or_set("k", slow) == 1
    await asyncio.sleep(0.02)
    assert cache.stats()["timed_out"] == 0


async def test_factory_may_clean_up_or_ignore_its_cancellation(manager: CacheManager) -> None:
    cache = numbers(manager, hard_timeout=SOFT)
    steps: list[str] = []

    async def cleans_up() -> int:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            steps.append("clean")
        return 1

    async def raises() -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise Down from None
        return 1

    async def ignores() -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            steps.append("ignored")
        return 7

    for factory in (cleans_up, raises):
        with pytest.raises(LoadTimeoutError):
            await cache.get_or_set("k", factory)
    assert steps == ["clean"]
    assert await cache.get_or_set("k", ignores) == 7
    # No request to cancel is left.
    await asyncio.sleep(0)
    assert await cache.get("k") == 7


@pytest.mark.parametrize("background", [False, True])
async def test_cancelled_caller_is_cancelled(manager: CacheManager, background: bool) -> None:
    cache = numbers(manager, hard_timeout=MINUTE)
    source = Source()
    source.stop()
    caller = asyncio.create_task(cache.get_or_set("k", source.load, background=background))
    await source.began.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await until(lambda: source.cancelled == 1)
    source.go.set()
    assert await asyncio.wait_for(cache.get_or_set("k", source.load), 2) == 1


@pytest.mark.skipif(sys.version_info < (3, 11), reason="it can't tell two cancellations apart")
async def test_caller_cancelled_at_its_limit_is_cancelled(manager: CacheManager) -> None:
    cache = numbers(manager, hard_timeout=SOFT)

    async def slow() -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            caller.cancel()
            raise
        return 1

    caller = asyncio.create_task(cache.get_or_set("k", slow))
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_invalidated_value_is_not_served_at_the_limit(
    manager: CacheManager, other: CacheManager
) -> None:
    for background in (False, True):
        cache, source = numbers(manager, **LIMITS), Source()
        await made_stale(cache, source)
        source.stop()
        caller = asyncio.create_task(cache.get_or_set("k", source.load, background=background))
        await source.began.wait()
        assert await numbers(other, **LIMITS).delete("k")
        with pytest.raises(LoadTimeoutError):
            await caller
        source.go.set()
        await cache.delete("k")
    await other.close()


async def test_background_load_copies_the_context(manager: CacheManager) -> None:
    cache = numbers(manager, stale_while_revalidate=MINUTE)
    seen: list[Any] = []

    async def fetch() -> int:
        seen.append((request_of_caller.get(), asyncio.current_task()))
        request_of_caller.set("set by the factory")
        # Its own key: it would wait for itself.
        return await cache.get_or_set("k", lambda: 5, reload=True)

    await made_stale(cache, Source())
    request_of_caller.set("mine")
    assert await cache.get_or_set("k", fetch, background=True) == 1
    await until(lambda: is_stored(cache, 5))
    ((name, task),) = seen
    assert name == "mine" and task is not asyncio.current_task()
    assert request_of_caller.get() == "mine"


async def test_background_load_is_kept_alive(manager: CacheManager) -> None:
    cache, source = numbers(manager, stale_while_revalidate=MINUTE), Source()
    await made_stale(cache, source)
    source.value = 2
    source.stop()
    assert await cache.get_or_set("k", source.load, background=True) == 1
    await source.began.wait()
    gc.collect()
    assert len(manager._background._tasks) == 1
    source.go.set()
    await until(lambda: is_stored(cache, 2))
    await until(lambda: not manager._background._tasks)


@pytest.mark.parametrize("when", ["refreshing", "beginning", "limited"])
async def test_close_cancels_what_runs_in_the_background(
    server: RedisServer, when: str, caplog: pytest.LogCaptureFixture
) -> None:
    manager = CacheManager(server.url, read_timeout=5, store_timeout=5)
    limits = LIMITS if when == "limited" else {"stale_while_revalidate": MINUTE}
    cache, source = numbers(manager, **limits), Source()
    await made_stale(cache, source)
    source.stop()
    assert await cache.get_or_set("k", source.load, background=True) == 1
    if when != "beginning":
        await source.began.wait()
    began = time.monotonic()
    assert await manager.close()
    assert time.monotonic() - began < 0.9
    assert source.cancelled == (0 if when == "beginning" else 1)
    assert not manager._background._tasks
    await until(lambda: server.keys() == [cache.key("k")])
    assert not [one for one in caplog.records if one.levelname == "ERROR"]
    # Open again, it goes on.
    manager.open()
    source.go.set()
    await until(lambda: refreshed(cache, source))
    await manager.close()


async def refreshed(cache: CacheService[int], source: Source) -> bool:
    source.value = 2
    return await cache.get_or_set("k", source.load, background=True) == 2


async def test_close_does_not_wait_for_stubborn_factories(server: RedisServer) -> None:
    manager = CacheManager(server.url, read_timeout=5, store_timeout=5)
    cache, began, go = numbers(manager, stale_while_revalidate=MINUTE), asyncio.Event(), asyncio.Event()

    async def stubborn() -> int:
        began.set()
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        return 2

    await made_stale(cache, Source())
    assert await cache.get_or_set("k", stubborn, background=True) == 1
    await began.wait()
    started = time.monotonic()
    await manager.close()
    assert time.monotonic() - started < 3
    go.set()
    await until(lambda: not manager._background._tasks)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_refreshes_of_two_loops(server: RedisServer, new_loop: Any) -> None:
    """The loop that is closed first takes its load along, and the other one loads anew."""
    manager = CacheManager(server.url, connect_timeout=5, read_timeout=5, store_timeout=5)
    cache = numbers(manager, stale_while_revalidate=MINUTE)
    first, second = new_loop(), new_loop()
    slow = Source()

    async def begin() -> None:
        await made_stale(cache, Source())
        slow.stop()
        assert await cache.get_or_set("k", slow.load, background=True) == 1
        await slow.began.wait()

    async def elsewhere() -> None:
        source = Source()
        source.value = 2
        assert await cache.get_or_set("k", source.load, background=True) == 1
        assert source.loads == 0, "the other loop refreshes it"

    async def finish() -> None:
        assert await manager.close()

    first.run_until_complete(begin())
    second.run_until_complete(elsewhere())
    tasks = asyncio.all_tasks(first)
    second.run_until_complete(finish())
    # Cancelled from the other loop.
    first.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    assert slow.cancelled == 1
    first.close()
    second.close()


def test_ended_loop_leaves_no_noise(script: Script) -> None:
    code = """
import asyncio, sys
from hotshelf import CacheManager, CacheService

manager = CacheManager(sys.argv[1], read_timeout=5, store_timeout=5)
cache = CacheService(manager, "numbers", int, ttl=60, stale_while_revalidate=60, hard_timeout=0.05)

async def main():
    async def slow():
        try:
            await asyncio.sleep(60)
        finally:
            print("cancelled")

    async def failing():
        raise ValueError

    await cache.set("k", 1)
    await cache.expire("k")
    print(await cache.get_or_set("k", slow, background=True))
    await cache.set("failing", 2)
    await cache.expire("failing")
    print(await cache.get_or_set("failing", failing, background=True))
    try:
        await cache.get_or_set("other", slow, background=True)
    except TimeoutError:
        print("timed out")
    if sys.argv[2] == "close":
        await manager.close()

import logging
logging.getLogger("hotshelf").setLevel(logging.ERROR)
asyncio.run(main())
"""
    for how in ("close", "leave"):
        script.server.command("FLUSHALL")
        lines = script.run(code, how).splitlines()
        assert sorted(lines) == ["1", "2", "cancelled", "cancelled", "timed out"]
