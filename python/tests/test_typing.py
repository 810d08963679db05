"""Tests of types and documentation."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from pydantic import TypeAdapter

import hotshelf

ASYNC = {
    hotshelf.CacheManager: {"ping", "health", "invalidate_tag", "invalidate_tags", "close"},
    hotshelf.CacheService: {
        "get", "get_many", "get_or_set", "set", "set_many", "write_through", "delete",
        "delete_many", "invalidate_pattern", "invalidate_all", "exists", "get_ttl", "expire",
        "response", "get_or_load_many", "explain", "warm",
    },
    hotshelf.RedisClient: {"execute_command", "aclose"},
    hotshelf.Pipeline: {"execute", "reset"},
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
