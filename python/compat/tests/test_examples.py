"""Tests that fastapi-rc's own examples respond on hotshelf as recorded on the original.

`DIFFERENCES` lists the intended differences and their reasons, and the migration page has the
same rows. Both a missing and an unnecessary row fail the test.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from conftest import Server
from original import Application, example, traces


class Difference(NamedTuple):
    example: str
    step: str
    aspect: str
    answer: Any
    reason: str


Entries = dict[str, Any]

DIFFERENCES = [
    Difference(
        "02_cache_service",
        "delete missing",
        "status",
        204,
        "`delete` reports whether the invalidation was applied, not whether there was an entry",
    ),
    Difference("02_cache_service", "delete missing", "body", "", "as above"),
    Difference(
        "02_cache_service",
        "invalidate nothing",
        "body",
        {"invalidated": True, "pattern_invalidated": 0},
        "as above",
    ),
    Difference(
        "02_cache_service",
        "glob injection *",
        "body",
        {"invalidated": True, "pattern_invalidated": 0},
        "the identifier `*` makes the pattern `*:*`, which is refused",
    ),
    Difference(
        "02_cache_service",
        "glob injection *",
        "entries",
        {"api:v1:users:11:aaa": 3, "api:v1:users:3:aaa": 1},
        "the entries of other users stay",
    ),
    Difference(
        "02_cache_service",
        "put null poisons cache -> 500",
        "entries",
        {"api:v1:users:1": None},
        "a value that can't be decoded is not stored, and removes the existing entry",
    ),
    Difference(
        "02_cache_service",
        "wrong type",
        "entries",
        {"api:v1:users:9": ["a"]},
        "a key that holds a list was not written by a cache: it is left unchanged, and the"
        " value is loaded each time",
    ),
]

#: Members of entries that have another value in each run.
VOLATILE = ("created_at", "cache_hit_rate")

EXAMPLES = [
    "01_basic_usage",
    "02_cache_service",
    "03_production_patterns",
    "04_full_api_example",
]


@pytest.mark.parametrize("name", EXAMPLES)
async def test_examples_match_original(name: str, server: Server) -> None:
    found: dict[tuple[str, str], Any] = {}
    theirs: Entries = {}
    async with Application(example(name, server.url).app, server.url) as application:
        for step in traces(name):
            application.set_up(step)
            before = entries(application.entries())
            theirs |= {command[1]: before[command[1]] for command in step.get("redis_setup", [])}
            answer = await application.request(step)
            golden = recorded(step)
            expected = {**golden, "entries": changed(before, theirs, golden["entries"])}
            theirs = golden["entries"]
            ours = {
                "status": answer.status_code,
                "body": body_of(answer.headers.get("content-type"), answer.text, step),
                "entries": entries(application.entries()),
            }
            for aspect, value in ours.items():
                if value != expected[aspect]:
                    at = step["name"], aspect
                    found[at] = value if aspect != "entries" else unlike(value, expected[aspect])
    listed = {(row.step, row.aspect): row.answer for row in DIFFERENCES if row.example == name}
    assert found == listed


def changed(before: Entries, theirs_before: Entries, theirs: Entries) -> Entries:
    """Applies the changes of a step on the original to our entries."""
    expected = dict(before)
    for key in theirs_before.keys() | theirs.keys():
        if theirs.get(key) != theirs_before.get(key):
            expected.pop(key, None)
            if key in theirs:
                expected[key] = theirs[key]
    return expected


def unlike(ours: Entries, expected: Entries) -> dict[str, Any]:
    """Returns the values of our entries that differ from the expected ones; `None` if missing."""
    keys = sorted(key for key in ours.keys() | expected.keys() if ours.get(key) != expected.get(key))
    return {key: ours[key][0] if key in ours else None for key in keys}


def recorded(step: dict[str, Any]) -> dict[str, Any]:
    text = step["response_text"] or ""
    if step["response_json"] is not None:
        text = json.dumps(step["response_json"])
    return {
        "status": step["status"],
        "body": body_of(step["content_type"], text, step),
        "entries": entries({entry["key"]: entry for entry in step["keys_after"]}),
    }


def body_of(kind: str | None, text: str, step: dict[str, Any]) -> Any:
    """Returns the body as a value, without volatile members."""
    if kind != "application/json" or not text:
        return text
    body = json.loads(text)
    for pointer in step["volatile"]:
        body = without(body, pointer.split("/")[1:])
    return body


def without(value: Any, path: list[str]) -> Any:
    if not path:
        return "volatile"
    first, *rest = path
    if isinstance(value, list):
        return [without(item, rest) if str(at) == first else item for at, item in enumerate(value)]
    return {
        name: without(item, rest) if first in (name, "*") else item for name, item in value.items()
    }


def entries(found: dict[str, Any]) -> Entries:
    return {key: bare(entry) for key, entry in found.items()}


def bare(entry: dict[str, Any]) -> Any:
    """Returns the JSON value of an entry, and whether it never expires."""
    value = entry["value"]
    if entry["type"] == "string":
        try:
            value = stable(json.loads(value))
        except ValueError:
            pass
    return value, entry["ttl"] == -1


def stable(value: Any) -> Any:
    """Returns a value without members that differ in each run."""
    match value:
        case list():
            return [stable(item) for item in value]
        case dict():
            return {
                name: "volatile" if name in VOLATILE else stable(item)
                for name, item in value.items()
            }
        case _:
            return value
