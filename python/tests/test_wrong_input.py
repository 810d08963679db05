"""Tests of invalid arguments: they raise or are counted, and leave no outdated entry."""

from __future__ import annotations

import asyncio
import logging
import math
import uuid
from collections.abc import Awaitable, Callable
from enum import Enum
from functools import partial
from typing import Any

import pytest
from conftest import Script
from pydantic import BaseModel

from hotshelf import CacheManager, CacheService, ConfigurationError, KeyError


def numbers(manager: CacheManager, **options: Any) -> CacheService[int]:
    return CacheService[int](manager, "numbers", int, **options)


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "redis://h:port", ""])
def test_invalid_url_raises(url: str) -> None:
    with pytest.raises(ConfigurationError):
        CacheManager(url)


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"ttl": -5}, ConfigurationError, "invalid `ttl` -5: use a number of seconds"),
        ({"ttl": math.nan}, ConfigurationError, "invalid `ttl` nan"),
        ({"ttl": 0}, ConfigurationError, "invalid TTL 0s"),
        ({"negative_ttl": math.inf}, ConfigurationError, "inf"),
        ({"negative_ttl": -1}, ConfigurationError, "invalid `negative_ttl` -1"),
        ({"ttl": 1e10}, ConfigurationError, "100 years"),
        ({"ttl": "soon"}, ConfigurationError, "invalid `ttl` 'soon': use text such as"),
        ({"backend_budget": None}, ConfigurationError, "invalid `backend_budget` None"),
        ({"jitter": 1.5}, ConfigurationError, "invalid jitter ratio 1.5: use a number from 0 to 1"),
        ({"jitter": -0.1}, ConfigurationError, "invalid jitter ratio -0.1"),
        ({"jitter": math.nan}, ConfigurationError, "invalid jitter ratio NaN"),
        ({"jitter": "yes"}, ConfigurationError, "invalid jitter 'yes': use True, False, or"),
        ({"tll": 5}, TypeError, "'tll'"),
        ({"time_to_live": 5}, TypeError, "'time_to_live'"),
        ({"wait_timeout": -1}, ConfigurationError, "invalid `wait_timeout` -1"),
        ({"key_layout": "v3"}, ConfigurationError, 'layout "v3"'),
        ({"prefix": "hs"}, ConfigurationError, "reserved"),
        ({"max_waiters": -1}, ConfigurationError, "invalid `max_waiters` -1: use a whole number"),
        ({"max_value_bytes": 0.5}, ConfigurationError, "invalid `max_value_bytes` 0.5: use a whole number"),
        ({"strict_plain": True, "epoch": True}, ConfigurationError, "remove `epoch` or"),
        ({"stale_if_error": -1}, ConfigurationError, "invalid `stale_if_error` -1"),
        ({"stale_while_revalidate": None}, ConfigurationError, "invalid `stale_while_revalidate`"),
        ({"hold": "soon"}, ConfigurationError, "invalid `hold` 'soon'"),
        ({"hold": 1e10}, ConfigurationError, "100 years"),
        ({"soft_timeout": 1}, ConfigurationError, "`soft_timeout` needs a stale value"),
        ({"hard_timeout": 0}, ConfigurationError, "invalid timeout of zero"),
        (
            {"stale_if_error": 5, "soft_timeout": 2, "hard_timeout": 1},
            ConfigurationError,
            "must be shorter",
        ),
        ({"early_refresh": "yes"}, ConfigurationError, "invalid `early_refresh` 'yes'"),
        ({"early_refresh": math.nan}, ConfigurationError, "invalid `early_refresh`"),
        ({"stale_if_error": 5, "plain_readers": True}, ConfigurationError, "remove `plain_readers`"),
        ({"stale_if_error": 5, "strict_plain": True}, ConfigurationError, "remove `strict_plain`"),
        ({"stale_if_error_on": "all"}, ConfigurationError, "invalid `stale_if_error_on` 'all'"),
        ({"stale_if_error_on": int}, ConfigurationError, "invalid `stale_if_error_on`"),
        ({"stale_if_error_on": (OSError, 5)}, ConfigurationError, "invalid `stale_if_error_on`"),
    ],
)
async def test_invalid_options_raise(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    manager = CacheManager("memory://")
    with pytest.raises(kind, match=text):
        numbers(manager, **options)
    with pytest.raises(kind, match=text):
        manager.service("numbers", int, **options)


@pytest.mark.parametrize("manager_of", [CacheManager, lambda: CacheManager("memory://")])
def test_unknown_options_are_named(manager_of: Callable[[], CacheManager]) -> None:
    wrong: Any = {"ttl": 5, "use_jitter": True}
    with pytest.raises(TypeError, match="'use_jitter' of the cache 'numbers': use .*jitter, "):
        manager_of().service("numbers", int, **wrong)


def test_options_are_keyword_only() -> None:
    declare: Any = CacheManager("memory://").service
    for create in (partial(CacheService, CacheManager("memory://")), declare):
        with pytest.raises(TypeError, match="positional"):
            create("numbers", int, 900)


WRONG = [{"tags": "all"}, {"tags": [""]}, {"ttl": -1}, {"ttl": 0}]


@pytest.mark.parametrize("wrong", WRONG)
async def test_invalid_options_store_nothing(manager: CacheManager, wrong: dict[str, Any]) -> None:
    cache = numbers(manager)
    assert await cache.get_or_set("it", lambda: 1, **wrong) == 1
    assert not await cache.exists("it")


@pytest.mark.parametrize("wrong", WRONG)
async def test_invalid_write_removes_entry(manager: CacheManager, wrong: dict[str, Any]) -> None:
    cache = numbers(manager)
    for write in ("set", "set_many", "write_through", "write_through_many"):
        assert await cache.set("it", 1)
        match write:
            case "set":
                assert not await cache.set("it", 2, **wrong)
            case "set_many":
                assert not await cache.set_many({"it": 2}, **wrong)
            case "write_through":
                assert await cache.write_through("it", lambda: 2, **wrong) == 2
            case _:
                written = await cache.write_through_many(["it"], lambda: {"it": 2}, **wrong)
                assert written == {"it": 2}
        assert await cache.get("it") is None, write


async def test_string_instead_of_list_raises(manager: CacheManager) -> None:
    cache = numbers(manager)
    for call in (cache.get_many, cache.delete_many, manager.invalidate_tags):
        with pytest.raises(TypeError, match=r"use \['it'\], not 'it'"):
            await call("it")


ELSEWHERE = """
import asyncio, sys
from hotshelf import CacheManager

async def main():
    manager = CacheManager(sys.argv[1], read_timeout=5, connect_timeout=5, store_timeout=5)
    manager.service("numbers", int, prefix="declared")
    assert await manager.invalidate_tag("all", prefixes=sys.argv[2:])
    await manager.close()

asyncio.run(main())
"""


async def test_tags_reach_declared_prefixes(manager: CacheManager, script: Script) -> None:
    caches = [numbers(manager, prefix=prefix) for prefix in ("cache", "declared", "elsewhere")]
    for cache in caches:
        await cache.set("it", 1, tags=["all"])
    await asyncio.to_thread(script.run, ELSEWHERE)
    assert [await cache.get("it") for cache in caches] == [None, None, 1]
    await asyncio.to_thread(script.run, ELSEWHERE, "elsewhere")
    assert await caches[2].get("it") is None


async def test_invalid_service_raises_when_declared(manager: CacheManager) -> None:
    for wrong in ({"ttl": 0}, {"prefix": None}, {"no_such_option": 1}):
        with pytest.raises((ConfigurationError, TypeError)):
            manager.service("numbers", int, **wrong)
    assert await manager.invalidate_tag("all")


@pytest.mark.parametrize("wrong", WRONG)
async def test_invalid_reload_removes_entry(manager: CacheManager, wrong: dict[str, Any]) -> None:
    cache = numbers(manager)
    await cache.set("it", 1)
    assert await cache.get_or_set("it", lambda: 2, reload=True, **wrong) == 2
    assert await cache.get("it") is None


async def test_invalid_negative_ttl_runs_factory(manager: CacheManager) -> None:
    cache, runs = numbers(manager), 0

    async def load() -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.01)

    calls = [cache.get_or_set("it", load, negative_ttl=math.inf) for _ in range(5)]
    assert await asyncio.gather(*calls) == [None] * 5
    assert (runs, cache.stats()["errors"]) == (1, 1)


NO_KEY = "\ud800"


async def test_invalid_key_affects_no_other(manager: CacheManager) -> None:
    cache = numbers(manager)
    assert not await cache.set_many({"1": 1, NO_KEY: 2})
    assert await cache.get_many([NO_KEY, "1"]) == [None, 1]
    await cache.write_through_many([NO_KEY, "1"], lambda: {"1": 2})
    assert await cache.get("1") == 2
    assert not await cache.delete_many(["1", NO_KEY])
    assert await cache.get("1") is None
    assert not await cache.delete(NO_KEY)
    assert await cache.invalidate_pattern(NO_KEY) == 0
    assert await cache.get_or_set(NO_KEY, lambda: 3) == 3


class Word(str, Enum):
    """A string whose `str()` is another string: `Word.ALL`."""

    ALL = "all"


async def test_str_subclass_is_consistent(manager: CacheManager) -> None:
    cache = numbers(manager)
    assert cache.key(Word.ALL) == "cache:v1:numbers:Word.ALL"
    writes: list[Callable[[], Awaitable[Any]]] = [
        lambda: cache.set(Word.ALL, 1, tags=[Word.ALL]),
        lambda: cache.set_many({Word.ALL: 1}, tags=[Word.ALL]),
        lambda: cache.get_or_set(Word.ALL, lambda: 1, tags=[Word.ALL]),
        lambda: cache.write_through(Word.ALL, lambda: 1, tags=[Word.ALL]),
        lambda: cache.write_through_many([Word.ALL], lambda: {Word.ALL: 1}, tags=[Word.ALL]),
    ]
    removals: list[Callable[[], Awaitable[Any]]] = [
        lambda: cache.delete(Word.ALL),
        lambda: cache.delete_many([Word.ALL]),
        lambda: cache.invalidate_pattern(Word.ALL),
        lambda: manager.invalidate_tag(Word.ALL),
        lambda: manager.invalidate_tags([Word.ALL]),
    ]
    for write in writes:
        for remove in removals:
            await write()
            assert await cache.get(Word.ALL) == await cache.get("Word.ALL") == 1
            assert await cache.get_many([Word.ALL, "all"]) == [1, None]
            assert await cache.exists(Word.ALL)
            assert await cache.get_ttl(Word.ALL) > 0
            await remove()
            assert await cache.get(Word.ALL) is None


class Tags(list[str]):
    """Tags whose truth value is ambiguous, as that of a numpy array."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")


class Failing:
    """An iterator that always fails."""

    def __iter__(self) -> Failing:
        return self

    def __next__(self) -> str:
        raise OSError("lost")


async def test_raising_tags_run_factory(manager: CacheManager) -> None:
    cache = numbers(manager)
    failing: Any = Failing()
    assert await cache.get_or_set("it", lambda: 1, tags=failing) == 1
    assert not await cache.set("it", 1, tags=failing)
    assert await cache.set("it", 1, tags=Tags(["all"]))
    await manager.invalidate_tag("all")
    assert await cache.get_or_set("it", lambda: 2, tags=Tags(["all"])) == 2
    assert await cache.write_through("it", lambda: 3, tags=Tags(["all"])) == 3
    assert await cache.get("it") == 3


class Interrupted:
    """Raises what Ctrl-C raises, in `str()`."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


async def test_keyboard_interrupt_passes_through(manager: CacheManager) -> None:
    cache, interrupted = numbers(manager), Interrupted()
    name: Any = interrupted
    lenient = numbers(manager, key_layout="fastapi_rc")
    with pytest.raises(KeyboardInterrupt):
        await lenient.get(name)
    with pytest.raises(KeyboardInterrupt):
        await cache.set("it", 1, tags=[name])


async def test_ttl_accepts_numeric_text(manager: CacheManager) -> None:
    cache = numbers(manager)
    minute: Any = "60"
    assert await cache.set("it", 1, ttl=minute)
    assert 0 < await cache.get_ttl("it") <= 66
    word: Any = "soon"
    assert not await cache.set("it", 1, ttl=word)


async def test_repeated_mistake_logs_at_debug(
    manager: CacheManager, caplog: pytest.LogCaptureFixture
) -> None:
    cache = numbers(manager)
    with caplog.at_level(logging.DEBUG, "hotshelf"):
        for number in range(3):
            await cache.get("it", {"unknown": object(), "number": number})
    lines = [line for line in caplog.records if "invalid parameter of type object" in line.getMessage()]
    assert [line.levelno for line in lines] == [logging.WARNING, logging.DEBUG, logging.DEBUG]


async def test_write_without_mapping_removes_entries(manager: CacheManager) -> None:
    cache = numbers(manager)
    await cache.set_many({"1": 1, "2": 2})
    forgot_to_return: Any = lambda: None  # noqa: E731
    with pytest.raises(TypeError, match="returned a NoneType: return the values by identifier"):
        await cache.write_through_many(["1"], forgot_to_return)
    assert await cache.get("1") is None


async def test_unexpected_identifiers_are_removed(manager: CacheManager) -> None:
    cache = numbers(manager)
    await cache.set_many({"1": 1, "2": 2})
    written = await cache.write_through_many(["1"], lambda: {"1": 10, "2": 20})
    assert written == {"1": 10, "2": 20}
    assert await cache.get_many(["1", "2"]) == [10, None]


async def test_invalid_arguments_are_counted(manager: CacheManager) -> None:
    cache = numbers(manager)
    await cache.get_or_set("it", lambda: 1, ttl=-1)
    await cache.get_or_set("it", lambda: 1, tags=[str(number) for number in range(129)])
    await cache.get("it", {"unknown": object()})
    assert not await cache.delete("it", {"unknown": object()})
    assert cache.stats()["errors"] == 4


async def test_tags_accept_numbers(manager: CacheManager) -> None:
    cache = numbers(manager)
    tags: Any = [7]
    await cache.set("it", 1, tags=tags)
    assert await cache.get("it") == 1
    await manager.invalidate_tags(tags)
    assert await cache.get("it") is None


async def test_invalid_tag_affects_no_other(manager: CacheManager) -> None:
    cache = numbers(manager)
    for name in ("", NO_KEY):
        await cache.set("it", 1, tags=["all"])
        assert not await manager.invalidate_tags([name, "all"], prefixes=[NO_KEY])
        assert await cache.get("it") is None


async def test_overflowing_ttl_bypasses_cache(manager: CacheManager) -> None:
    cache = numbers(manager)
    assert await cache.get_or_set("it", lambda: 1, ttl=10**400) == 1
    assert not await cache.set("it", 1, ttl=10**400)


def test_model_with_forward_reference() -> None:
    class Node(BaseModel):
        leaves: list[Leaf]

    CacheManager("memory://").service("nodes", Node)


async def test_disabled_cache_reports_nothing_stored(manager: CacheManager) -> None:
    cache = numbers(manager)
    manager.set_enabled(False)
    assert not await cache.set("it", 1)
    assert not await cache.set_many({"it": 1})


async def test_invalidated_entry_has_no_ttl(manager: CacheManager) -> None:
    cache = numbers(manager)
    await cache.set("it", 1, tags=["all"])
    assert await cache.get_ttl("it") > 0
    await manager.invalidate_tag("all")
    assert await cache.get_ttl("it") == -2


class Leaf(BaseModel):
    pass


@pytest.mark.parametrize("identifier", [None, b"x", True, ["x"], {"x": 1}, int, ("one",), ("a", None)])
async def test_objects_without_text_are_no_keys(manager: CacheManager, identifier: Any) -> None:
    cache, runs = numbers(manager), []
    for _ in range(2):
        assert await cache.get_or_set(identifier, lambda: runs.append(1) or 7) == 7
    assert len(runs) == 2, "nothing is cached under it"
    assert await cache.get(identifier) is None
    assert not await cache.set(identifier, 1)
    assert not await cache.delete(identifier)
    assert cache.stats()["errors"] > 0
    with pytest.raises(KeyError, match="use a str, an int, a UUID"):
        cache.key(identifier)


async def test_numbers_uuids_and_tuples_are_keys(manager: CacheManager) -> None:
    cache, some = numbers(manager), uuid.UUID(int=7)
    for identifier, text in ((7, "7"), (some, str(some)), (("acme", 7), "acme,7")):
        assert cache.key(identifier) == f"cache:v1:numbers:{text}"
        assert await cache.set(identifier, 1)
        assert await cache.get(identifier) == 1
    assert cache.key(("a,b", "c")) != cache.key(("a", "b,c"))
    await cache.write_through_many([7, ("acme", 7)], lambda: {7: 2, ("acme", 7): 3})
    assert await cache.get_many([7, "7", ("acme", 7)]) == [2, 2, 3]
    assert await cache.delete_many([7, ("acme", 7)])
    assert await cache.get_many([7, ("acme", 7)]) == [None, None]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("connect_timeout", None),
        ("read_timeout", -1),
        ("store_timeout", "soon"),
        ("memory_capacity", -1),
        ("memory_capacity", 1.5),
        ("client_name", 7),
    ],
)
def test_options_of_managers_are_checked_by_name(option: str, value: Any) -> None:
    options: Any = {option: value}
    with pytest.raises(ConfigurationError, match=f"invalid `{option}`"):
        CacheManager("memory://", **options)


def test_misspelt_option_is_named() -> None:
    options: Any = {"read_timout": 3}
    with pytest.raises(TypeError, match="'read_timout'.*read_timeout"):
        CacheManager().open("memory://", **options)
