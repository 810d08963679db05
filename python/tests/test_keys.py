"""Tests that keys are byte for byte those of fastapi-rc and of Rust."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import pathlib
import uuid
from typing import Any

import pytest
from conftest import TESTS

from hotshelf import CacheManager, CacheService, build_cache_key, canonical_params

DATA = TESTS.parents[1] / "crates" / "hotshelf-core" / "tests" / "data"
GOLDEN = json.loads((DATA / "golden_keys.json").read_text())
CANONICAL = json.loads((DATA / "canonical_texts.json").read_text())

#: The names that expressions in the tables may use.
NAMES = {
    "datetime": datetime, "decimal": decimal, "enum": enum, "pathlib": pathlib, "uuid": uuid,
    "nan": float("nan"), "inf": float("inf"),
}  # fmt: skip


def value_of(expression: str) -> Any:
    return eval(expression, dict(NAMES))


def rows() -> list[Any]:
    """Returns the rows whose parameters are an evaluable expression."""
    evaluable = [
        row for row in GOLDEN["params"]
        if "key" in row and row["params_python"][:1] + row["params_python"][-1:] in ("{}", "Ne")
        and "<" not in row["params_python"]
    ]
    return [pytest.param(row, id=row["name"]) for row in evaluable]


@pytest.mark.parametrize("row", rows())
def test_golden_keys(row: dict[str, Any], memory_manager: CacheManager) -> None:
    params = value_of(row["params_python"])
    assert build_cache_key(row["namespace"], row["identifier"], params) == row["key"]
    service = CacheService[Any](memory_manager, row["namespace"], key_layout="fastapi_rc")
    assert service.key(row["identifier"], params) == row["key"]


@pytest.mark.parametrize("row", CANONICAL["values"], ids=lambda row: row["name"])
def test_canonical_texts(row: dict[str, Any]) -> None:
    assert canonical_params({"it": value_of(row["python"])}) == row["text"]
    assert build_cache_key("products", "list", {"it": value_of(row["python"])}) == row["key"]


@pytest.mark.parametrize("params", [{"it": object()}, {"it": lambda: 1}, {"it": b"bytes"}])
def test_unsupported_params_raise_type_error(params: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="invalid parameter of type .*: pass a string"):
        build_cache_key("products", "list", params)


async def test_invalid_params_bypass_cache(manager: CacheManager) -> None:
    cache = CacheService[int](manager, "products", int)
    runs = 0

    def compute() -> int:
        nonlocal runs
        runs += 1
        return 7

    for params in ({"it": object()}, {"it": {1, "mixed"}}, {"it": {"\ud800": 1, 2: 3}}):
        assert await cache.get_or_set("1", compute, params=params) == 7
        assert await cache.get("1", params) is None
        assert not await cache.set("1", 7, params=params)
        assert not await cache.delete("1", params)
    assert runs == 3


async def test_stored_key_matches_key_method(manager: CacheManager, server: Any) -> None:
    cache = CacheService[int](manager, "products", int, prefix="api", version="v2")
    params = {"day": datetime.date(2024, 1, 31), "page": 1}
    await cache.set("list", 7, params=params)
    assert server.keys() == [cache.key("list", params)]
    assert cache.key("list", params).startswith("api:v2:products:list:")


@pytest.mark.parametrize("identifier", ["a:b", "a b", "ключ", "🔑", "a\nb", "{x}", "*?[]", "x" * 2000])
async def test_any_text_is_valid_identifier(manager: CacheManager, identifier: str) -> None:
    cache = CacheService[int](manager, "texts", int)
    assert await cache.get_or_set(identifier, lambda: 7) == 7
    assert await cache.get(identifier) == 7
    assert await cache.delete(identifier)
    assert await cache.get(identifier) is None


def test_default_layout_is_injective(memory_manager: CacheManager) -> None:
    parts = ["", "a", "b", "a:b", "a%3Ab", "a,b", "p", "a:p:0", "h:0", "{a}", "\n", "ключ", "x" * 600]
    params: list[Any] = [None, {}, [], 0, False, "", "0", {"a": 1}, {"a": "1"}, {"a": None}]
    services = [
        CacheService[Any](memory_manager, name, prefix=prefix, version=version)
        for prefix in ("a", "a:b", "a%3Ab") for version in ("v1", "b:v1") for name in ("n", "b:n")
    ]
    keys = [it.key(part, one) for it in services for part in parts for one in params]
    assert len(set(keys)) == len(keys)
    assert max(map(len, keys)) <= 512


def test_fastapi_rc_layout_has_collisions(memory_manager: CacheManager) -> None:
    service = CacheService[Any](memory_manager, "products", key_layout="fastapi_rc")
    one, other = (service.key("list", [["q", q]]) for q in (28704732, 34852570))
    assert one == other == "cache:v1:products:list:3f84152fe5dc"
    native = CacheService[Any](memory_manager, "products")
    assert native.key("list", [["q", 28704732]]) != native.key("list", [["q", 34852570]])


@pytest.fixture
def memory_manager() -> CacheManager:
    return CacheManager("memory://")
