"""Tests of types and documentation."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest
from pydantic import TypeAdapter

import hotshelf
from conftest import TESTS
from hotshelf import sqlalchemy, testing
from hotshelf._redis._commands import Commands

ASYNC = {
    hotshelf.CacheManager: {"ping", "health", "invalidate_tag", "invalidate_tags", "close"},
    hotshelf.CacheService: {
        "get", "get_many", "get_or_set", "set", "set_many", "write_through", "delete",
        "delete_many", "invalidate_pattern", "invalidate_all", "exists", "get_ttl", "expire",
        "response", "get_or_load_many", "explain", "warm",
    },
    hotshelf.RedisClient: {"execute_command", "transaction", "aclose"},
    hotshelf.Pipeline: {"watch", "unwatch", "execute", "reset"},
    hotshelf.PubSub: {"subscribe", "psubscribe", "unsubscribe", "get_message", "aclose"},
    hotshelf.Lock: {"acquire", "release", "extend", "reacquire", "locked", "owned"},
}  # fmt: skip


@pytest.mark.parametrize("of", ASYNC, ids=lambda it: it.__name__)
def test_async_methods_are_coroutine_functions(of: Any) -> None:
    for name in ASYNC[of]:
        assert inspect.iscoroutinefunction(getattr(of, name)), name


@pytest.mark.parametrize(
    "kind",
    [hotshelf.Health, hotshelf.Stats, hotshelf.CacheServiceOptions, hotshelf.LoadOptions],
)
def test_typed_dicts_work_with_pydantic(kind: Any) -> None:
    """For example as the return type of an endpoint."""
    assert TypeAdapter(kind).json_schema()["type"] == "object"


def test_public_names_are_documented() -> None:
    for name in hotshelf.__all__:
        it = getattr(hotshelf, name)
        assert name.startswith("__") or inspect.getdoc(it), name


def test_type_checkers_see_each_public_name() -> None:
    """`typed_use.py` and `typed_names.py`, which mypy and pyright check, use all of them."""
    used = set()
    for file in ("typed_use.py", "typed_names.py"):
        for node in ast.walk(ast.parse((TESTS / file).read_text())):
            if isinstance(node, ast.Name):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.keyword) and node.arg is not None:
                used.add(node.arg)
    public = set()
    for module in (hotshelf, hotshelf.sync, testing, sqlalchemy):
        for name in module.__all__:
            public.add(name)
            public |= members_of(getattr(module, name))
    assert public - used == set()


def members_of(owner: Any) -> set[str]:
    """Returns the public members of a class of this package; the commands of Redis have names of
    their own."""
    if not inspect.isclass(owner) or issubclass(owner, Exception | dict | Commands):
        return set()
    ours = [it for it in owner.__mro__ if it.__module__.startswith("hotshelf")]
    names = {name for it in ours for name in vars(it)}
    return {name for name in names if not name.startswith("_")}
