"""Tests of event loops in sequence, in parallel, and closed with operations in flight."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from conftest import RedisServer, Script

from hotshelf import CacheManager, CacheService, _hotshelf

NewLoop = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> Any:
    return request.param


def run(new_loop: NewLoop, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Does the same as `asyncio.run`, on a loop of a given kind."""
    event_loop = new_loop()
    try:
        return event_loop.run_until_complete(coroutine)
    finally:
        event_loop.run_until_complete(cancel_all())
        event_loop.run_until_complete(event_loop.shutdown_asyncgens())
        event_loop.close()


async def cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def holds_soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 2
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def drivers() -> list[Any]:
    return [it for it in gc.get_objects() if type(it) is _hotshelf.Driver]


def test_sequential_loops_leak_nothing(server: RedisServer, new_loop: NewLoop, name: str) -> None:
    manager = CacheManager(server.url)
    cache = CacheService[int](manager, name, int)
    runs = 0

    def compute() -> int:
        nonlocal runs
        runs += 1
        return 7

    run(new_loop, cache.get_or_set("1", compute))
    gc.collect()
    before = descriptors()
    for _ in range(50):
        assert run(new_loop, cache.get_or_set("1", compute)) == 7
    gc.collect()
    assert runs == 1
    assert descriptors() <= before
    assert holds_soon(lambda: server.clients() == [])
    assert drivers() == []


def test_closing_loop_drops_driver(server: RedisServer, new_loop: NewLoop) -> None:
    manager = CacheManager(server.url)
    seen: list[weakref.ref[Any]] = []

    async def ask() -> None:
        assert await manager.ping()
        seen.extend(weakref.ref(driver) for driver in drivers())
        assert len(seen) == 1

    gc.collect()
    gc.disable()
    run(new_loop, ask())
    gone = seen[0]() is None
    gc.enable()
    assert gone, "the driver waits for the garbage collector"
    assert holds_soon(lambda: server.clients() == [])


def test_kept_exception_keeps_no_connection(
    server: RedisServer, new_loop: NewLoop, name: str
) -> None:
    """The traceback refers to the frames of all callers that it passed through."""
    manager = CacheManager(server.url)
    cache = CacheService[int](manager, name, int)
    seen: list[weakref.ref[Any]] = []

    async def fail() -> int:
        await asyncio.sleep(0.02)
        seen.extend(weakref.ref(driver) for driver in drivers())
        raise LookupError("no such value")

    async def ask() -> list[Any]:
        calls = [cache.get_or_set("1", fail) for _ in range(3)]
        return await asyncio.gather(*calls, return_exceptions=True)

    gc.collect()
    gc.disable()
    kept = run(new_loop, ask())
    # Not the connections: closing the loop may hand the release of the lease to the threads of
    # `hotshelf.sync`, if an earlier test has started them.
    gone = [driver() is None for driver in seen]
    gc.enable()
    assert [type(error) for error in kept] == [LookupError] * 3
    assert gone == [True], "the traceback keeps the loop's driver"
    run(new_loop, manager.close())


def test_unclosed_loop_is_collected(server: RedisServer) -> None:
    """This holds for asyncio: uvloop never collects an unclosed loop."""
    manager = CacheManager(server.url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        event_loop = asyncio.new_event_loop()
        assert event_loop.run_until_complete(manager.ping())
        del event_loop
        gc.collect()
        gc.collect()
    assert drivers() == []


def test_loop_closes_with_operations_in_flight(own_server: RedisServer, new_loop: NewLoop) -> None:
    manager = CacheManager(own_server.url, read_timeout=30)
    cache = CacheService[int](manager, "numbers", int)
    assert run(new_loop, manager.ping())
    own_server.pause()
    event_loop = new_loop()

    async def begin() -> list[asyncio.Task[Any]]:
        tasks = [asyncio.ensure_future(cache.get(str(number))) for number in range(20)]
        await asyncio.sleep(0.02)
        return tasks

    tasks = event_loop.run_until_complete(begin())
    event_loop.call_exception_handler = lambda context: None  # type: ignore[method-assign]
    event_loop.close()
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    del task, tasks, event_loop
    own_server.go_on()
    gc.collect()
    gc.collect()
    assert drivers() == []
    assert run(new_loop, manager.ping())


def test_two_loops_share_flight(server: RedisServer, new_loop: NewLoop, name: str) -> None:
    manager = CacheManager(server.url)
    cache = CacheService[int](manager, name, int)
    together = threading.Barrier(2)
    runs: list[int] = []
    found: list[list[int]] = []

    async def compute() -> int:
        runs.append(threading.get_ident())
        await asyncio.sleep(0.2)
        return 7

    async def ask() -> None:
        await manager.ping()
        together.wait()
        found.append(await asyncio.gather(*(cache.get_or_set("1", compute) for _ in range(50))))

    threads = [threading.Thread(target=run, args=(new_loop, ask())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(runs) == 1
    assert found == [[7] * 50, [7] * 50]


def test_leader_hands_over_across_loops(server: RedisServer, new_loop: NewLoop, name: str) -> None:
    manager = CacheManager(server.url)
    cache = CacheService[str](manager, name, str)
    leads, waits = threading.Event(), threading.Event()
    found: list[str] = []

    async def never() -> str:
        leads.set()
        await asyncio.sleep(60)
        return "never"

    async def lead() -> None:
        leader = asyncio.ensure_future(cache.get_or_set("1", never))
        while not waits.is_set():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        leader.cancel()

    async def follow() -> None:
        while not leads.is_set():
            await asyncio.sleep(0.01)
        follower = asyncio.ensure_future(cache.get_or_set("1", lambda: "other loop"))
        await asyncio.sleep(0.05)
        waits.set()
        found.append(await asyncio.wait_for(follower, 2))

    threads = [threading.Thread(target=run, args=(new_loop, it())) for it in (lead, follow)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == ["other loop"]
    assert server.keys() == [cache.key("1")]


def test_rounding_loop_keeps_timers(own_server: RedisServer, new_loop: NewLoop) -> None:
    """uvloop rounds `call_later` to milliseconds, so a timer may fire early."""
    manager = CacheManager(own_server.url, read_timeout=0.0503)

    async def ask() -> float:
        await manager.ping()
        own_server.pause()
        began = time.monotonic()
        await CacheService[int](manager, "numbers", int).get("1")
        return time.monotonic() - began

    took = run(new_loop, ask())
    own_server.go_on()
    assert 0.045 < took < 0.2


def test_close_completes_operations_in_flight(own_server: RedisServer, new_loop: NewLoop) -> None:
    manager = CacheManager(own_server.url, read_timeout=0.3)
    cache = CacheService[int](manager, "numbers", int, backend_budget=30)

    async def ask() -> int:
        await manager.ping()
        own_server.pause()
        waiting = asyncio.ensure_future(cache.get_or_set("1", lambda: 7))
        await asyncio.sleep(0.02)
        await asyncio.wait_for(manager.close(), 1)
        found = await asyncio.wait_for(waiting, 2)
        # A cache of a closed manager works without it, and doesn't reopen it.
        assert await cache.get_or_set("1", lambda: 8) == 8
        return found

    try:
        assert run(new_loop, ask()) == 7
    finally:
        own_server.go_on()
    assert holds_soon(lambda: own_server.clients() == [])


MANY_RUNS = """
import asyncio, sys
from hotshelf import CacheManager, CacheService
manager = CacheManager(sys.argv[1])
cache = CacheService(manager, "debugged", int)

async def nested():
    async def compute():
        return await cache.get_or_set("inner", lambda: 1) + 1
    found = await asyncio.gather(*(cache.get_or_set("outer", compute) for _ in range(20)))
    assert set(found) == {2}
    task = asyncio.create_task(cache.get_or_set("gone", lambda: asyncio.sleep(60)))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

for _ in range(3):
    asyncio.run(nested())
print("ok")
"""


@pytest.mark.parametrize("options", [("-X", "dev"), ("-W", "error"), ("-O",)])
def test_debug_mode_reports_nothing(script: Script, options: tuple[str, ...]) -> None:
    assert script.run(MANY_RUNS, options=options) == "ok\n"


def test_eager_tasks(server: RedisServer, name: str) -> None:
    if not hasattr(asyncio, "eager_task_factory"):
        pytest.skip("eager tasks need Python 3.12")
    manager = CacheManager(server.url)
    cache = CacheService[int](manager, name, int)
    runs = 0

    async def compute() -> int:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.02)
        return 7

    async def ask() -> list[int]:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        return await asyncio.gather(*(cache.get_or_set("1", compute) for _ in range(50)))

    assert asyncio.run(ask()) == [7] * 50
    assert runs == 1
