"""Tests of the warning about factories that outlive the objects of their request."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fastapi import BackgroundTasks
from starlette.requests import Request
from starlette.websockets import WebSocket

from hotshelf import CacheManager, CacheService, RequestScopedWarning, _request_scoped


@pytest.fixture(autouse=True)
def nothing_reported() -> None:
    """The same factories are tested on several event loops."""
    _request_scoped._reported.clear()


@pytest.fixture
def cache() -> CacheService[int]:
    return CacheManager("memory://").service("numbers", int)


def named(module: str, name: str) -> Any:
    """An object of a class that is known by its name, and that a subclass hides."""
    return type("Own", (type(name, (), {"__module__": module}),), {})()


def session() -> Any:
    return named("sqlalchemy.orm.session", "Session")


def in_a_closure(held: Any) -> Callable[[], int]:
    return lambda: 1 if held else 0


def in_a_default(held: Any) -> Callable[[], int]:
    def fetch(db: Any = held) -> int:
        return 1

    return fetch


def in_a_keyword(held: Any) -> Callable[[], int]:
    def fetch(*, db: Any = held) -> int:
        return 1

    return fetch


def in_a_partial(held: Any) -> Callable[[], int]:
    return partial(lambda db: 1, held)


def in_a_partial_keyword(held: Any) -> Callable[[], int]:
    return partial(lambda db: 1, db=held)


class Repository:
    def __init__(self, db: Any) -> None:
        self.db = db

    def fetch(self) -> int:
        return 1

    def __call__(self) -> int:
        return 1


def in_a_method(held: Any) -> Callable[[], int]:
    return Repository(held).fetch


def in_a_callable(held: Any) -> Callable[[], int]:
    return Repository(held)


def in_an_inner_function(held: Any) -> Callable[[], int]:
    def fetch() -> int:
        return 1 if held else 0

    return lambda: fetch()


def in_an_object(held: Any) -> Callable[[], int]:
    repository = Repository(held)
    return lambda: repository.fetch()


WAYS: list[tuple[Callable[[Any], Callable[[], int]], str]] = [
    (in_a_closure, "held"),
    (in_a_default, "db"),
    (in_a_keyword, "db"),
    (in_a_partial, "argument 0"),
    (in_a_partial_keyword, "db"),
    (in_a_method, "self.db"),
    (in_a_callable, "self.db"),
    (in_an_inner_function, "held"),
    (in_an_object, "repository.db"),
]


@pytest.mark.parametrize(("hold", "name"), WAYS, ids=lambda it: getattr(it, "__name__", ""))
async def test_held_objects_are_named_once(
    cache: CacheService[int], hold: Callable[[Any], Callable[[], int]], name: str
) -> None:
    with pytest.warns(RequestScopedWarning) as warned:
        await cache.get_or_set("k", hold(session()), background=True)
        for number in range(3):
            await cache.get_or_set(number, hold(session()), background=True)
    (warning,) = warned
    text = str(warning.message)
    assert f"holds `{name}` (sqlalchemy.Session)" in text
    assert "open another one" in text and "category=hotshelf.RequestScopedWarning" in text
    assert warning.filename == __file__


@pytest.mark.parametrize(
    "held",
    [
        Request({"type": "http"}),
        WebSocket({"type": "websocket"}, None, None),  # type: ignore[arg-type]
        BackgroundTasks(),
        session(),
        named("sqlalchemy.ext.asyncio.session", "AsyncSession"),
        named("sqlalchemy.ext.asyncio.engine", "AsyncConnection"),
        named("sqlalchemy.engine.base", "Connection"),
        named("psycopg", "AsyncConnection"),
        named("psycopg.connection", "Connection"),
        named("asyncpg.connection", "Connection"),
        named("asyncpg.pool", "PoolConnectionProxy"),
        named("aiosqlite.core", "Connection"),
    ],
    ids=lambda held: f"{type(held).__module__}.{type(held).__mro__[-2].__name__}",
)
async def test_objects_of_requests_are_known(cache: CacheService[int], held: Any) -> None:
    with pytest.warns(RequestScopedWarning, match="`held`"):
        await cache.get_or_set("k", in_a_closure(held), background=True)


@pytest.mark.parametrize(
    "held", [named("mine", "Session"), named("sqlalchemy.engine", "Engine"), 5, None, Request]
)
async def test_other_objects_may_be_held(cache: CacheService[int], held: Any) -> None:
    # Warnings are errors.
    await cache.get_or_set("k", lambda: (held, 1)[1], background=True)


async def test_factories_of_a_request_may_hold_anything(cache: CacheService[int]) -> None:
    held = session()
    assert await cache.get_or_set("k", lambda: (held, 1)[1]) == 1


async def test_objects_that_raise_are_harmless(cache: CacheService[int]) -> None:
    class Proxy:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError("outside of a request")

    proxy = Proxy()
    assert await cache.get_or_set("k", lambda: (proxy, 1)[1], background=True) == 1


async def test_warning_as_an_error_leaves_no_load(cache: CacheService[int]) -> None:
    held = session()
    with pytest.raises(RequestScopedWarning):
        await cache.get_or_set("k", lambda: (held, 1)[1], background=True)
    assert await asyncio.wait_for(cache.get_or_set("k", lambda: 2), 1) == 2


async def test_task_of_the_method_itself_is_located_at_the_factory(cache: CacheService[int]) -> None:
    held = session()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        factory = lambda: (held, 1)[1]  # noqa: E731
        await asyncio.create_task(cache.get_or_set("k", factory, background=True))
    (warning,) = caught
    assert warning.filename == __file__
    assert warning.lineno == factory.__code__.co_firstlineno
