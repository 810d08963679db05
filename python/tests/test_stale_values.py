"""Tests of stale values: who gets them, who loads them anew, and when they are never served."""

from __future__ import annotations

import asyncio
import builtins
import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from conftest import RedisServer
from staleness import MINUTE, Down, Source, is_missing, is_stored, made_stale, numbers, until

from hotshelf import CacheManager, CacheService, ConfigurationError, LoadBackoffError

BOTH = {"stale_while_revalidate": MINUTE, "stale_if_error": 2 * MINUTE}


@pytest.fixture(params=["memory", "redis", "near"])
async def pair(
    request: pytest.FixtureRequest, server: RedisServer
) -> AsyncIterator[tuple[CacheManager, CacheManager]]:
    """Two managers of one backend, which share nothing in the process but in memory."""
    if request.param == "memory":
        one = other = CacheManager("memory://")
    else:
        options: dict[str, Any] = {"read_timeout": 5, "store_timeout": 5, "connect_timeout": 5}
        one, other = (
            CacheManager(server.url, near=request.param == "near", **options) for _ in range(2)
        )
    yield one, other
    await one.close()
    await other.close()


async def test_stale_value_is_served_while_it_is_loaded(
    pair: tuple[CacheManager, CacheManager],
) -> None:
    one, other = (numbers(manager, **BOTH) for manager in pair)
    source = Source()
    await made_stale(one, source)
    source.value = 2
    source.stop()
    for cache in (one, other, one, other):
        found = await asyncio.wait_for(cache.get_or_set("k", source.load, background=True), 5)
        assert found == 1, "nobody waits"
    await source.began.wait()
    source.go.set()
    for cache in (one, other):
        await until(lambda cache=cache: is_stored(cache, 2))
    assert source.loads == 2
    views = (one,) if pair[0] is pair[1] else (one, other)
    assert sum(view.stats()["refreshes"] for view in views) == 1
    assert one.stats()["stale"] >= 2


async def test_inline_refresh_is_waited_for_by_one_caller(
    pair: tuple[CacheManager, CacheManager],
) -> None:
    one, other = (numbers(manager, **BOTH) for manager in pair)
    source = Source()
    await made_stale(one, source)
    source.value = 2
    source.stop()
    calls = [
        asyncio.create_task(cache.get_or_set("k", source.load))
        for cache in (one, one, other, one, other)
    ]
    await until(lambda: sum(call.done() for call in calls) == 4)
    source.go.set()
    assert sorted(await asyncio.gather(*calls)) == [1, 1, 1, 1, 2]
    assert source.loads == 2


async def test_reads_without_factory_see_fresh_values_only(
    pair: tuple[CacheManager, CacheManager],
) -> None:
    one, _ = (numbers(manager, **BOTH) for manager in pair)
    await one.set("k", 1)
    assert await one.exists("k")
    assert await one.get_ttl("k") > 0
    assert await one.expire("k")
    assert await one.expire("k"), "twice is once"
    await until(lambda: is_missing(one))
    assert await one.get_many(["k"]) == [None]
    assert not await one.exists("k")
    assert await one.get_ttl("k") == -2


async def test_stale_value_answers_errors(pair: tuple[CacheManager, CacheManager]) -> None:
    one, other = (numbers(manager, stale_if_error=MINUTE) for manager in pair)
    source = Source()
    await made_stale(one, source)
    source.error = Down()
    for cache in (one, other, one):
        assert await cache.get_or_set("k", source.load) == 1
        assert await cache.get_or_set("k", source.load, background=True) == 1
    assert source.loads == 2, "one load in 30 s, over all processes"

    await one.delete("k")
    for cache in (one, other):
        with pytest.raises(Down):
            await cache.get_or_set("k", source.load)
    source.error = None
    await other.delete("k")
    assert await one.get_or_set("k", source.load) == 1


async def test_waiting_callers_get_the_stale_value(
    pair: tuple[CacheManager, CacheManager],
) -> None:
    one, other = (numbers(manager, stale_if_error=MINUTE) for manager in pair)
    source = Source()
    await made_stale(one, source)
    source.error = Down()
    source.stop()
    calls = [
        asyncio.create_task((one if call % 2 else other).get_or_set("k", source.load))
        for call in range(20)
    ]
    await source.began.wait()
    await asyncio.sleep(0.02)
    source.go.set()
    assert set(await asyncio.gather(*calls)) == {1}
    assert source.loads == 2


class Gone(LookupError):
    pass


@pytest.mark.parametrize(
    ("on", "error", "is_served"),
    [
        (Exception, Down(), True),
        (OSError, ConnectionError(), True),
        (OSError, Down(), False),
        ((OSError, Down), Down(), True),
        ((), Down(), False),
        (lambda error: not isinstance(error, Gone), Down(), True),
        (lambda error: not isinstance(error, Gone), Gone(), False),
    ],
)
@pytest.mark.parametrize("per_call", [False, True])
async def test_some_errors_are_raised(on: Any, error: Exception, is_served: bool, per_call: bool) -> None:
    manager = CacheManager("memory://")
    other: Any = {"stale_if_error_on": on}
    opposite: Any = {"stale_if_error_on": (lambda _: not is_served)}
    cache = numbers(manager, stale_if_error=MINUTE, **(opposite if per_call else other))
    source = Source()
    await made_stale(cache, source)
    source.error = error
    call = cache.get_or_set("k", source.load, **(other if per_call else {}))
    if is_served:
        assert await call == 1
    else:
        with pytest.raises(type(error)) as raised:
            await call
        assert raised.value is error
    await manager.close()


async def test_exception_groups_are_answered_if_all_their_exceptions_are(
    manager: CacheManager,
) -> None:
    group = getattr(builtins, "ExceptionGroup", None)
    if group is None:
        pytest.skip("Python 3.10 has none")
    cache = numbers(
        manager, stale_if_error=MINUTE, stale_if_error_on=(Down, OSError), error_throttle=0
    )
    for errors, is_served in (
        ([Down(), OSError()], True),
        ([Down(), group("inner", [OSError()])], True),
        ([Down(), group("inner", [Gone()])], False),
    ):
        source = Source()
        await made_stale(cache, source)
        source.error = group("several", errors)
        if is_served:
            assert await cache.get_or_set("k", source.load) == 1
        else:
            with pytest.raises(group):
                await cache.get_or_set("k", source.load)
        await cache.delete("k")


async def test_failing_condition_is_raised_with_the_error(manager: CacheManager) -> None:
    def on(error: Exception) -> bool:
        raise ZeroDivisionError

    cache = numbers(manager, stale_if_error=MINUTE)
    source = Source()
    await made_stale(cache, source)
    source.error = Down()
    with pytest.raises(ZeroDivisionError) as raised:
        await cache.get_or_set("k", source.load, stale_if_error_on=on)
    assert raised.value.__context__ is source.error


async def test_invalid_condition_of_a_call_leaves_no_lease(
    manager: CacheManager, server: RedisServer
) -> None:
    cache, wrong = numbers(manager), "all"
    with pytest.raises(ConfigurationError, match="invalid `stale_if_error_on` 'all'"):
        await cache.get_or_set("k", Source().load, stale_if_error_on=wrong)  # type: ignore[call-overload]
    await until(lambda: server.keys() == [])


async def test_invalidated_value_never_answers(pair: tuple[CacheManager, CacheManager]) -> None:
    one, other = (numbers(manager, **BOTH) for manager in pair)
    source = Source()

    async def load() -> int:
        await other.delete("k")
        raise Down

    await made_stale(one, source)
    with pytest.raises(Down):
        await one.get_or_set("k", load)

    await one.delete("k")
    await made_stale(one, source)
    await other.delete("k")
    source.value = 2
    # A near tier may not have heard of it yet.
    after = pair[1].consistency_token()
    assert await one.get_or_set("k", source.load, background=True, after=after) == 2


async def test_sync_factories_refresh_and_fail(manager: CacheManager) -> None:
    cache = numbers(manager, error_throttle=0, **BOTH)

    def fail() -> int:
        raise Down

    await made_stale(cache, Source())
    assert await cache.get_or_set("k", fail) == 1
    await cache.delete("k")
    await made_stale(cache, Source())
    assert await cache.get_or_set("k", lambda: 2, background=True) == 1
    await until(lambda: is_stored(cache, 2))


async def test_cached_none_is_stale_and_served(manager: CacheManager) -> None:
    cache: CacheService[int | None] = CacheService(manager, "optional", stale_while_revalidate=60)
    assert await cache.get_or_set("k", lambda: None) is None
    # Negatives have no stale window: it is a miss then.
    await cache.expire("k")
    assert await cache.get_or_set("k", lambda: 2, background=True) in (None, 2)
    await until(lambda: cache_has(cache, 2))


async def cache_has(cache: CacheService[Any], value: Any) -> bool:
    return await cache.get_or_set("k", lambda: value) == value


async def test_cancelled_inline_refresh_leaves_the_value(
    pair: tuple[CacheManager, CacheManager],
) -> None:
    one, other = (numbers(manager, **BOTH) for manager in pair)
    source = Source()
    await made_stale(one, source)
    source.value = 2
    source.stop()
    refreshing = asyncio.create_task(one.get_or_set("k", source.load))
    await source.began.wait()
    refreshing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await refreshing
    assert source.cancelled == 1
    source.go.set()
    # In this process after a second, in another one at once.
    assert await one.get_or_set("k", source.load) == 1
    expected = 1 if one._manager is other._manager else 2
    await until(lambda: got(other, source, expected))


async def got(cache: CacheService[int], source: Source, value: int) -> bool:
    return await cache.get_or_set("k", source.load) == value


async def test_failed_load_without_a_value_backs_off(
    pair: tuple[CacheManager, CacheManager],
) -> None:
    one, other = (numbers(manager, error_backoff=5) for manager in pair)
    source = Source()
    source.error = Down()
    with pytest.raises(Down):
        await one.get_or_set("k", source.load)
    for cache in (one, other):
        with pytest.raises(LoadBackoffError) as limited:
            await cache.get_or_set("k", source.load)
        assert 0 < limited.value.retry_after <= 5
        assert cache.stats()["backed_off"] >= 1
        with pytest.raises(LoadBackoffError):
            await cache.response("k", source.load)
    assert source.loads == 1
    source.error = None
    await other.delete("k")
    assert await one.get_or_set("k", source.load) == 1


async def test_held_key_is_loaded_and_not_stored(pair: tuple[CacheManager, CacheManager]) -> None:
    one, other = (numbers(manager, hold=MINUTE) for manager in pair)
    source = Source()
    await one.get_or_set("k", source.load)
    await one.delete("k")
    for loads in (2, 3):
        assert await other.get_or_set("k", source.load) == 1
        assert (source.loads, await other.get("k")) == (loads, None)
    assert not await other.set("k", 7)


async def test_values_are_loaded_early(pair: tuple[CacheManager, CacheManager]) -> None:
    """With the largest factor, and a load of 50 ms, a value of a minute is loaded anew at once
    by one call in ten million; of one second by most."""
    one, _ = (numbers(manager, early_refresh=100) for manager in pair)

    async def slow() -> int:
        await asyncio.sleep(0.05)
        return 1

    loads = one.stats()["loads"]
    await one.get_or_set("k", slow, 1)
    await until(lambda: refreshed(one, slow))
    assert one.stats()["loads"] >= loads + 2


async def refreshed(cache: CacheService[int], factory: Any) -> bool:
    await cache.get_or_set("k", factory, 1, background=True)
    return cache.stats()["refreshes"] > 0


@pytest.mark.parametrize("option", ["strict_plain", "plain_readers"])
async def test_plain_entries_cannot_expire(option: Any) -> None:
    cache = numbers(CacheManager("memory://"), **{option: True})
    with pytest.raises(ConfigurationError, match="invalidate it"):
        await cache.expire("k")


async def test_expire_takes_parameters_and_never_fails(own_server: RedisServer) -> None:
    manager = CacheManager(own_server.url)
    cache = numbers(manager, **BOTH)
    await cache.set("k", 1, params={"page": 1})
    assert not await cache.expire("k")
    assert not await cache.expire(None)  # type: ignore[arg-type]
    assert await cache.expire("k", {"page": 1})
    assert await cache.get("k", {"page": 1}) is None
    own_server.stop()
    assert not await cache.expire("k", {"page": 1})
    await manager.close()


async def test_stale_entry_is_a_response(pair: tuple[CacheManager, CacheManager]) -> None:
    one, other = (numbers(manager, **BOTH) for manager in pair)
    source = Source()
    await made_stale(one, source)
    source.value = 2
    for cache in (one, other):
        answer = await cache.response("k", source.load, background=True)
        assert answer.body in (b"1", b"2")
    await until(lambda: is_stored(one, 2))
    await one.delete("k")
    await made_stale(one, source)
    source.error = Down()
    assert (await other.response("k", source.load)).body == b"1"


async def test_undecodable_stale_value_is_replaced(
    manager: CacheManager, server: RedisServer
) -> None:
    texts = CacheService(manager, "numbers", None, **BOTH)  # type: ignore[call-overload]
    await texts.set("k", "not a number")
    assert await texts.expire("k")
    cache = numbers(manager, **BOTH)
    source = Source()
    assert await cache.get_or_set("k", source.load, background=True) == 1
    assert await cache.get("k") == 1


async def test_swallowed_errors_are_logged_once(
    manager: CacheManager, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hotshelf")
    cache = numbers(manager, error_throttle=0, **BOTH)
    source = Source()
    await made_stale(cache, source)
    source.error = Down("the database is down")
    for background in (False, True, True):
        await until(partial(failed_again, cache, source, background))
    await asyncio.sleep(0.02)
    failing = [one for one in caplog.records if "failed (Down)" in one.message]
    assert len(failing) == 1
    assert failing[0].levelno == logging.WARNING
    assert failing[0].exc_info is not None and failing[0].exc_info[1] is source.error
    source.error = None
    await until(lambda: is_loaded(cache, source))
    assert [one.message for one in caplog.records if "succeed again" in one.message] != []


async def failed_again(cache: CacheService[int], source: Source, background: bool) -> bool:
    loads = source.loads
    assert await cache.get_or_set("k", source.load, background=background) == 1
    await asyncio.sleep(0.005)
    return source.loads > loads


async def is_loaded(cache: CacheService[int], source: Source) -> bool:
    await cache.get_or_set("k", source.load)
    return source.error is None and await cache.get("k") == source.value
