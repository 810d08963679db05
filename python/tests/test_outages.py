"""Tests of unreachable and silent servers, which cost milliseconds."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest
from conftest import RedisServer, Script, eventually, free_port

from hotshelf import CacheManager, CacheService


def p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99) - 1]


async def timed_loads(cache: CacheService[int], count: int, at_once: int = 20) -> list[float]:
    """Loads `count` keys with `at_once` callers, and returns the duration of each call."""
    times: list[float] = []

    async def caller(first: int) -> None:
        for number in range(first, count, at_once):
            began = time.monotonic()
            assert await cache.get_or_set(f"{began}", lambda: number) == number
            times.append(time.monotonic() - began)

    await asyncio.gather(*(caller(first) for first in range(at_once)))
    return times


async def test_silent_server_costs_milliseconds(own_server: RedisServer) -> None:
    manager = CacheManager(own_server.url)
    cache = CacheService[int](manager, "numbers", int)
    assert await cache.get_or_set("1", lambda: 1) == 1
    own_server.pause()
    try:
        times = await timed_loads(cache, 400)
        assert p99(times) < 0.3
        # After repeated timeouts calls fail at once.
        later = await timed_loads(cache, 400)
        assert sum(later) / len(later) < 0.1
        began = time.monotonic()
        assert not await cache.delete("1")
        assert time.monotonic() - began < 0.5
    finally:
        own_server.go_on()
    await eventually_serves(cache)
    await manager.close()


async def eventually_serves(cache: CacheService[int]) -> None:
    deadline = time.monotonic() + 5
    while not (await cache.set("back", 1) and await cache.get("back") == 1):
        assert time.monotonic() < deadline, "the server was not used again"
        await asyncio.sleep(0.05)


async def test_missing_server_costs_milliseconds() -> None:
    manager = CacheManager(f"redis://127.0.0.1:{free_port()}")
    cache = CacheService[int](manager, "numbers", int)
    assert not await manager.ping()
    assert p99(await timed_loads(cache, 200)) < 0.3
    began = time.monotonic()
    assert await cache.get("1") is None
    assert not await cache.set("1", 1)
    assert not await cache.delete("1")
    assert not await cache.exists("1")
    assert await cache.get_ttl("1") == -2
    assert await cache.get_many(["1", "2"]) == [None, None]
    assert not await manager.invalidate_tag("tag")
    assert time.monotonic() - began < 1
    await manager.close()


async def test_unroutable_address_times_out(own_server: RedisServer) -> None:
    """Nothing answers to packets, so connecting hangs."""
    manager = CacheManager("redis://10.255.255.1:6379")
    cache = CacheService[int](manager, "numbers", int)
    assert p99(await timed_loads(cache, 60)) < 0.4
    await manager.close()


async def test_unresolvable_name_fails_fast() -> None:
    manager = CacheManager("redis://no-such-host.invalid:6379")
    cache = CacheService[int](manager, "numbers", int)
    began = time.monotonic()
    assert await cache.get_or_set("1", lambda: 1) == 1
    assert time.monotonic() - began < 1
    await manager.close()


async def test_client_reconnects_to_restarted_server(own_server: RedisServer) -> None:
    own_server.stop()
    manager = CacheManager(own_server.url)
    cache = CacheService[int](manager, "numbers", int)
    assert await cache.get_or_set("1", lambda: 1) == 1
    own_server.start()
    await eventually_serves(cache)
    own_server.stop()
    await eventually(lambda: True)
    assert await cache.get("back") is None
    assert not await cache.delete("back")
    own_server.start()
    await eventually_serves(cache)
    await manager.close()


async def test_concurrent_callers_await_first_connection(own_server: RedisServer) -> None:
    manager = CacheManager(own_server.url)
    cache = CacheService[int](manager, "numbers", int)
    found = await asyncio.gather(*(cache.get_or_set("1", lambda: 7) for _ in range(100)))
    assert set(found) == {7}
    assert cache.stats()["errors"] == 0
    assert len(own_server.clients()) <= 2
    await manager.close()


async def test_wrong_password_is_never_shown(own_server: RedisServer) -> None:
    own_server.command("CONFIG", "SET", "requirepass", "secret")
    manager = CacheManager(f"redis://:wrong-word@127.0.0.1:{own_server.port}")
    cache = CacheService[int](manager, "numbers", int)
    assert await cache.get_or_set("1", lambda: 7) == 7
    health = await manager.health()
    assert not health["available"]
    assert "wrong-word" not in repr(health) + repr(manager.store) + manager.store.address
    await manager.close()


@pytest.mark.parametrize("on", [True, False])
async def test_caches_switch_on_and_off(manager: CacheManager, on: bool) -> None:
    cache = CacheService[int](manager, "numbers", int)
    await cache.set("1", 1)
    manager.set_enabled(on)
    assert await cache.get_or_set("1", lambda: 2) == (1 if on else 2)
    assert await cache.delete("1")
    manager.set_enabled(True)
    assert await cache.get("1") is None


STALLS = """
import asyncio, os, signal, sys, time
from hotshelf import CacheManager

async def main():
    manager = CacheManager(sys.argv[1], near=True)
    cache = manager.service("numbers", int, ttl=5)

    async def work(number):
        for _ in range(20):
            await cache.write_through(number % 50, lambda: number)

    # More work in the background than an executor keeps without looking through it.
    os.kill(int(sys.argv[2]), signal.SIGSTOP)
    working = asyncio.gather(*(work(number) for number in range(200)))
    await asyncio.sleep(1.5)
    os.kill(int(sys.argv[2]), signal.SIGCONT)
    await working
    print("done", flush=True)
    await manager.close()

asyncio.run(main())
"""


def test_many_writes_survive_silent_server(own_server: RedisServer) -> None:
    assert own_server.process is not None
    arguments = [sys.executable, "-c", STALLS, own_server.url, str(own_server.process.pid)]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "done\n", ended.stderr


FULL = """
import asyncio, resource, sys
import hotshelf
from hotshelf import CacheManager

manager = CacheManager(sys.argv[1])
numbers = manager.service("numbers", int)
blocking = numbers.sync
assert asyncio.run(numbers.set(4, 1))
loop = asyncio.new_event_loop()
loop.run_until_complete(asyncio.sleep(0))
kept = resource.getrlimit(resource.RLIMIT_NOFILE)
files = []
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, kept[1]))
    while True:
        files.append(open("/dev/null"))
except OSError:
    pass

async def use():
    assert await numbers.get_or_set(1, lambda: 7) == 7
    assert await numbers.get(1) is None
    await numbers.set(1, 8)
    await numbers.delete(1)
    assert await numbers.get_or_load_many([1, 2], lambda missing: {it: it for it in missing}) == [1, 2]
    assert await numbers.write_through(1, lambda: 9) == 9
    assert await numbers.write_through(4, lambda: 9) == 9
    await manager.invalidate_tag("t")

loop.run_until_complete(use())
assert blocking.get_or_set(2, lambda: 7) == 7
assert numbers.stats()["degraded"] >= 2, numbers.stats()
for file in files:
    file.close()

async def work_again():
    for _ in range(100):
        await numbers.get_or_set(3, lambda: 7)
        if await numbers.get(3) == 7:
            return
        await asyncio.sleep(0.05)
    raise SystemExit("the cache never works again")

loop.run_until_complete(work_again())
assert blocking.get_or_set(3, lambda: 8) == 7
# The write has removed what was there before.
assert blocking.get(4) is None
loop.run_until_complete(manager.close())
loop.close()
"""


@pytest.mark.parametrize("backend", ["memory", "redis"])
def test_process_without_descriptors_runs_factories(
    server: RedisServer, script: Script, backend: str
) -> None:
    script.run(FULL, "memory://" if backend == "memory" else server.url)
