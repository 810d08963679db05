"""Tests of loads of many keys with one factory."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import pytest
from conftest import RedisServer, Script
from pydantic import BaseModel
from staleness import MINUTE, Down, until

from hotshelf import CacheManager, CacheService, LoadBackoffError, LoadTimeoutError


class Point(BaseModel):
    x: int


class Squares:
    """The squares of even numbers; odd ones have no value."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.error: BaseException | None = None

    @property
    def loads(self) -> Counter[int]:
        return Counter(number for call in self.calls for number in call)

    async def load(self, numbers: list[int]) -> Mapping[int, int]:
        self.calls.append(numbers)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return {number: number * number for number in numbers if number % 2 == 0}


@pytest.fixture(params=["memory", "redis"])
async def manager(request: Any, server: RedisServer) -> AsyncIterator[CacheManager]:
    url = "memory://" if request.param == "memory" else server.url
    manager = CacheManager(url, connect_timeout=5, read_timeout=5, store_timeout=5)
    yield manager
    await manager.close()


@pytest.fixture
async def pair(server: RedisServer) -> AsyncIterator[list[CacheManager]]:
    """Two managers, which are to each other as two processes."""
    managers = [
        CacheManager(server.url, connect_timeout=5, read_timeout=5, store_timeout=5)
        for _ in range(2)
    ]
    yield managers
    for manager in managers:
        await manager.close()


def numbers(manager: CacheManager, **options: Any) -> CacheService[int]:
    options = {"ttl": MINUTE, "negative_ttl": MINUTE, "backend_budget": 5, **options}
    return CacheService(manager, "numbers", int, **options)


async def test_missing_keys_are_loaded_by_one_call(manager: CacheManager) -> None:
    cache, squares = numbers(manager), Squares()
    await cache.set(4, 16)
    found = await cache.get_or_load_many([2, 4, 3, 2, 6], squares.load)
    assert found == [4, 16, None, 4, 36]
    assert squares.calls == [[2, 3, 6]]
    # A `None` is cached, too.
    assert await cache.get_or_load_many(iter([6, 3, 4, 2]), squares.load) == [36, None, 16, 4]
    assert len(squares.calls) == 1
    assert await cache.get_or_load_many([], squares.load) == []
    assert await cache.get_many([2, 3]) == [4, None]
    assert await cache.get_or_set(3, lambda: 9) is None  # type: ignore[comparison-overlap]
    assert cache.stats()["loads"] == 3


async def test_factories_may_be_sync_and_return_pairs(manager: CacheManager) -> None:
    cache = numbers(manager)
    asked = []

    def pairs(identifiers: list[Any]) -> Any:
        asked.append(identifiers)
        return ((str(it), len(str(it))) for it in identifiers if it != "no")

    # The same key, whatever its type.
    some = UUID(int=5)
    found = await cache.get_or_load_many([7, "7", some, str(some), ("a", 1), "no"], pairs)
    assert found == [1, 1, 36, 36, None, None]
    assert asked == [[7, some, ("a", 1), "no"]]

    async def with_none(identifiers: list[str]) -> dict[str, int | None]:
        return {it: None for it in identifiers}

    assert await cache.get_or_load_many(["a", "b"], with_none) == [None, None]
    assert await cache.get_or_load_many(["b", "a"], lambda _: {"a": 1}) == [None, None]


async def test_invalid_identifiers_are_loaded_and_not_stored(manager: CacheManager) -> None:
    cache, squares = numbers(manager), Squares()
    calls = []

    def load(identifiers: list[Any]) -> dict[Any, int]:
        calls.append(identifiers)
        return dict.fromkeys(identifiers, 5)

    names: list[Any] = [None, 2, None]
    for _ in range(2):
        assert await cache.get_or_load_many(names, load) == [5, 5, 5]
    assert calls == [[None, 2], [None]]
    with pytest.raises(TypeError):
        await cache.get_or_load_many("ab", squares.load)  # type: ignore[arg-type]
    assert squares.calls == []


@pytest.mark.parametrize("made", [None, 5, [1, 2], ["ab"], [(1, 2, 3)]])
async def test_factory_that_returns_something_else(manager: CacheManager, made: Any) -> None:
    cache = numbers(manager)
    with pytest.raises(TypeError, match="return the values by identifier"):
        await cache.get_or_load_many(["a", "b"], lambda _: made)
    assert await cache.get_or_load_many(["a"], lambda _: {"a": 1}) == [1]


async def test_exception_of_a_generator_is_its_own(manager: CacheManager) -> None:
    def load(identifiers: list[str]) -> Any:
        yield "a", 1
        raise ValueError("bad row")

    with pytest.raises(ValueError, match="bad row"):
        await numbers(manager).get_or_load_many(["a", "b"], load)


async def test_factory_that_returns_values_of_other_keys(
    manager: CacheManager, caplog: pytest.LogCaptureFixture
) -> None:
    cache = numbers(manager)
    caplog.set_level(logging.WARNING, "hotshelf")
    assert await cache.get_or_load_many([1], lambda _: {1: 1, 2: 2}) == [1]
    assert not caplog.records
    assert await cache.get_or_load_many([3], lambda _: {"3.0": 3}) == [None]  # type: ignore[dict-item]
    assert "none of which it was asked for" in caplog.text


async def test_ten_thousand_keys(manager: CacheManager) -> None:
    cache, squares = numbers(manager), Squares()
    for _ in range(2):
        found = await cache.get_or_load_many(range(10_000), squares.load)
        assert found == [None if it % 2 else it * it for it in range(10_000)]
    assert len(squares.calls) == 1
    assert cache.stats()["errors"] == 0


async def test_batches_share_loads_and_never_wait_for_each_other(manager: CacheManager) -> None:
    cache, squares = numbers(manager), Squares()

    async def batch(number: int) -> None:
        keys = [(key * 7 + number * 13) % 50 for key in range(50)]
        found = await cache.get_or_load_many(keys, squares.load)
        assert found == [None if key % 2 else key * key for key in keys]

    await asyncio.wait_for(asyncio.gather(*map(batch, range(8))), 20)
    assert set(squares.loads.values()) == {1}
    assert cache.stats()["degraded"] == 0


async def test_processes_share_loads(pair: list[CacheManager]) -> None:
    (one, other), squares = map(numbers, pair), Squares()
    forwards, backwards, single = await asyncio.wait_for(
        asyncio.gather(
            one.get_or_load_many(range(20), squares.load),
            other.get_or_load_many(range(19, -1, -1), squares.load),
            one.get_or_set(8, lambda: 64),
        ), 20,
    )  # fmt: skip
    assert forwards == backwards[::-1] and single == 64
    assert max(squares.loads.values()) == 1


async def test_cancelled_call_hands_its_loads_over(manager: CacheManager) -> None:
    cache, squares = numbers(manager), Squares()
    began = asyncio.Event()

    async def stuck(numbers: list[int]) -> dict[int, int]:
        began.set()
        await asyncio.sleep(60)
        return {}

    call = asyncio.create_task(cache.get_or_load_many([2, 4], stuck))
    await began.wait()
    waiting = asyncio.create_task(cache.get_or_load_many([4, 2, 6], squares.load))
    single = asyncio.create_task(cache.get_or_set(4, lambda: 16))
    await until(lambda: squares.calls == [[6]])
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.wait_for(waiting, 5) == [16, 4, 36]
    assert await asyncio.wait_for(single, 5) == 16
    assert await cache.get_many([2, 4, 6]) == [4, 16, 36]


async def test_abandoned_call_releases_its_leases(
    manager: CacheManager, server: RedisServer
) -> None:
    cache = numbers(manager)

    async def stuck(numbers: list[int]) -> dict[int, int]:
        await asyncio.sleep(60)
        return {}

    for turns in range(8):
        call = asyncio.create_task(cache.get_or_load_many([2, 4], stuck))
        for _ in range(turns):
            await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.wait_for(cache.get_or_set(2, lambda: 4), 2) == 4
        await cache.delete_many([2, 4])
    await until(lambda: not [key for key in server.keys() if "numbers" in key])


async def test_lost_key_does_not_lose_the_others(pair: list[CacheManager]) -> None:
    (one, other), squares = map(numbers, pair), Squares()

    async def load(numbers: list[int]) -> Mapping[int, int]:
        await other.delete(4)
        return await squares.load(numbers)

    assert await one.get_or_load_many([2, 4, 6], load) == [4, 16, 36]
    assert await other.get_many([2, 4, 6]) == [4, None, 36]
    assert one.stats()["refused"] == 1


async def test_leases_are_renewed(pair: list[CacheManager], server: RedisServer) -> None:
    one, other = map(numbers, pair)

    async def slow(numbers: list[int]) -> dict[int, int]:
        before = {key: server.command("PTTL", key) for key in server.keys()}
        assert len(before) == 2, before
        await asyncio.sleep(max(before.values()) / 1000 + 1)
        assert len(server.keys()) == 2, "the leases have ended"
        return dict.fromkeys(numbers, 1)

    assert await one.get_or_load_many([1, 2], slow) == [1, 1]
    assert await other.get_many([1, 2]) == [1, 1]


async def test_exceptions_reach_the_callers(manager: CacheManager) -> None:
    cache, squares = numbers(manager), Squares()
    squares.error = Down()
    calls = [cache.get_or_load_many([2, 4], squares.load) for _ in range(2)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(it) for it in results] == [Down, Down]
    squares.error = None
    assert await cache.get_or_load_many([2, 4], squares.load) == [4, 16]


async def test_stale_values_answer_exceptions(manager: CacheManager) -> None:
    cache, squares = numbers(manager, stale_if_error=MINUTE, error_throttle=MINUTE), Squares()
    await cache.set_many({2: 1, 4: 2})
    for key in (2, 4):
        assert await cache.expire(key)
    await until(lambda: is_missing(cache, 2))
    await until(lambda: is_missing(cache, 4))
    squares.error = Down()
    with pytest.raises(Down):
        await cache.get_or_load_many([2, 6], squares.load)
    for key in (2, 4):
        await cache.set(key, key // 2)
        await cache.expire(key)
    await until(lambda: is_missing(cache, 4))
    with pytest.raises(Down):
        await cache.get_or_load_many([2, 4], squares.load, stale_if_error_on=ValueError)


async def test_stale_values_are_served_while_the_source_fails(
    manager: CacheManager, caplog: pytest.LogCaptureFixture
) -> None:
    cache, squares = numbers(manager, stale_if_error=MINUTE, error_throttle=MINUTE), Squares()
    caplog.set_level(logging.WARNING, "hotshelf")
    await cache.set_many({2: 1, 4: 2})
    for key in (2, 4):
        assert await cache.expire(key)
    await until(lambda: is_missing(cache, 2))
    await until(lambda: is_missing(cache, 4))
    squares.error = Down()
    for _ in range(2):
        assert await cache.get_or_load_many([2, 4], squares.load) == [1, 2]
    assert len(squares.calls) == 1, "once for `error_throttle`"
    assert "callers get stale values" in caplog.text
    await cache.delete(2)
    with pytest.raises(Down):
        await cache.get_or_load_many([2, 4], squares.load)


async def is_missing(cache: CacheService[Any], key: int) -> bool:
    return await cache.get(key) is None


async def test_limits(manager: CacheManager) -> None:
    cache = numbers(manager, hard_timeout=0.1, error_backoff=MINUTE)
    squares = Squares()
    cancelled = []

    async def stuck(numbers: list[int]) -> dict[int, int]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(numbers)
            raise
        return {}

    began = time.monotonic()
    with pytest.raises(LoadTimeoutError):
        await cache.get_or_load_many([2, 4], stuck)
    assert 0.09 < time.monotonic() - began < 5 and cancelled == [[2, 4]]
    squares.error = Down()
    with pytest.raises(Down):
        await cache.get_or_load_many([2, 4], squares.load)
    with pytest.raises(LoadBackoffError):
        await cache.get_or_load_many([2, 4], squares.load)


async def test_options_of_the_call(manager: CacheManager) -> None:
    cache, squares = numbers(manager), Squares()
    await cache.set(2, 5)
    assert await cache.get_or_load_many([2, 4], squares.load, reload=True, ttl=1000) == [4, 16]
    assert squares.calls == [[2, 4]]
    assert await cache.get_ttl(2) > 800
    await cache.delete_many([2, 4])
    await cache.get_or_load_many([2, 3], squares.load, tags=["squares"], negative_ttl=0)
    assert await cache.get_or_load_many([2, 3], squares.load, tags=["squares"]) == [4, None]
    assert squares.calls[1:] == [[2, 3], [3]]
    await manager.invalidate_tag("squares")
    await cache.get_or_load_many([2, 3], squares.load, tags=["squares"])
    assert squares.calls[3:] in ([[2, 3]], [[2]])
    after = manager.consistency_token()
    assert await cache.get_or_load_many([2], squares.load, tags=["squares"], after=after) == [4]


async def test_undecodable_entries_are_replaced(manager: CacheManager) -> None:
    cache = CacheService(manager, "numbers", Point, backend_budget=5)
    plain: CacheService[Any] = CacheService(manager, "numbers", None, backend_budget=5)
    await plain.set("1", {"y": 1})
    await cache.set("2", Point(x=2))
    calls = []

    def load(names: list[str]) -> dict[str, Point]:
        calls.append(names)
        return {name: Point(x=10 * int(name)) for name in names}

    found = await cache.get_or_load_many(["1", "2", "3", "1"], load)
    assert found == [Point(x=10), Point(x=2), Point(x=30), Point(x=10)]
    assert calls == [["3"], ["1"]]
    assert await cache.get_many(["1", "2", "3"]) == [Point(x=10), Point(x=2), Point(x=30)]
    assert cache.stats()["foreign"] > 0


async def test_value_that_cannot_be_encoded_is_returned(manager: CacheManager) -> None:
    cache: CacheService[Any] = CacheService(manager, "any", None, backend_budget=5)
    it = object()
    assert await cache.get_or_load_many(["a", "b"], lambda _: {"a": it, "b": 1}) == [it, 1]
    assert await cache.get_many(["a", "b"]) == [None, 1]
    assert cache.stats()["unstorable"] == 1


async def test_hits_in_memory_follow_the_rule_of_copies() -> None:
    manager = CacheManager("memory://")
    for copy in ("none", "deep"):
        cache = CacheService(manager, copy, list[int], copy=copy)  # type: ignore[arg-type]
        await cache.set("a", [1])
        first = await cache.get_or_load_many(["a"], lambda _: {})
        second = await cache.get_or_load_many(["a"], lambda _: {})
        assert first == second == [[1]]
        assert (first[0] is second[0]) == (copy == "none")
    await manager.close()


async def test_factory_may_ask_for_its_own_keys(manager: CacheManager) -> None:
    cache, squares = numbers(manager), Squares()

    async def load(numbers: list[int]) -> dict[int, int | None]:
        inner = await cache.get_or_load_many([4, 2, 8], squares.load)
        assert await cache.get_or_set(2, lambda: 4) == 4
        return dict(zip([4, 2], inner, strict=False))

    assert await asyncio.wait_for(cache.get_or_load_many([2, 4], load), 10) == [4, 16]
    assert squares.loads == {2: 1, 4: 1, 8: 1}
    assert await cache.get_many([2, 4, 8]) == [4, 16, 64]


async def test_without_a_cache_each_call_loads(own_server: RedisServer) -> None:
    manager = CacheManager(own_server.url)
    cache, squares = numbers(manager), Squares()
    manager.set_enabled(False)
    for _ in range(2):
        assert await cache.get_or_load_many([2, 3, 2], squares.load) == [4, None, 4]
    assert squares.calls == [[2, 3], [2, 3]]
    manager.set_enabled(True)
    own_server.stop()
    assert await cache.get_or_load_many([2, 3], squares.load) == [4, None]
    await manager.close()


PROCESSES = """
import asyncio, sys
from hotshelf import CacheManager, CacheService
manager = CacheManager(sys.argv[1], connect_timeout=5, read_timeout=5, store_timeout=5)
cache = CacheService(manager, "cold", int, backend_budget=5)
keys = list(range(200))[::int(sys.argv[2])]
runs = []

async def load(ids):
    runs.extend(ids)
    await asyncio.sleep(0.2)
    return {id: id + 1 for id in ids}

async def main():
    await manager.ping()
    print("ready", flush=True)
    sys.stdin.readline()
    assert await cache.get_or_load_many(keys, load) == [key + 1 for key in keys]
    print(*runs, flush=True)
    await manager.close()
asyncio.run(main())
"""


def test_two_processes_load_each_key_once(script: Script) -> None:
    processes = [script.start(PROCESSES, order) for order in ("1", "-1")]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    runs = [int(it) for process in processes for it in process.communicate(timeout=20)[0].split()]
    assert sorted(runs) == list(range(200))
