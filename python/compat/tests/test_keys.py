"""Tests that keys are byte for byte those of fastapi-rc, with the same data as Rust's tests."""

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


#: The parameters of rows whose expression can't be evaluated: the `repr` of an enum, a cut or a
#: missing expression.
WRITTEN: dict[str, Any] = {
    "str enum value": {"e": SE.A},
    "StrEnum value": {"e": SE.A},
    "IntEnum value": {"e": IE.A},
    "plain Enum": {"e": E.A},
    "big int 5000 digits": {"a": 10**5000},
    "long string": {"s": "x" * 10_000},
}

#: Rows that fail on the original, and have a key by their canonical text here.
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
def test_params_have_golden_key(row: dict[str, Any]) -> None:
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
def test_parts_have_golden_key(row: dict[str, Any]) -> None:
    if "error" in row:
        with pytest.raises(TypeError):
            build_cache_key("users", 123)  # type: ignore[arg-type]
    else:
        key = build_cache_key(*row["args"])
        assert len(key) == row.get("key_len", len(key))
        assert row["key"] in (key, None)


def test_key_without_version() -> None:
    assert build_cache_key("users", "1", include_version=False) == "cache:users:1"


def test_patterns_match_original() -> None:
    assert invalidate_pattern("users") == "cache:v1:users:*"
    assert invalidate_pattern("users", "123:*") == "cache:v1:users:123:*"
    assert invalidate_pattern("users", "1", "api", "v2") == "api:v2:users:1"


def test_pattern_escapes_identifier() -> None:
    assert invalidate_pattern("users", identifier="*") == r"cache:v1:users:\*:*"


def test_jitter_matches_original() -> None:
    random.seed(1)
    spread = {get_ttl_with_jitter(300) for _ in range(2000)}
    assert (min(spread), max(spread)) == (270, 330)
    assert {get_ttl_with_jitter(600, 0.2) for _ in range(2000)} >= {480, 720}
