"""What the migration page says is held by tests, and says how the examples differ."""

from __future__ import annotations

import json
import re
from pathlib import Path

from test_examples import DIFFERENCES

TESTS = Path(__file__).parent
PAGE = (TESTS.parents[2] / "docs" / "migrating-from-fastapi-rc.md").read_text()


def test_the_tests_it_names_are_there() -> None:
    sources = "\n".join(path.read_text() for path in TESTS.glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 20
    assert named <= set(re.findall(r"def (test_\w+)", sources))


def test_each_thing_that_gets_better_names_its_test() -> None:
    table = PAGE.split("## What gets better")[1].split("##")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 10
    assert [row for row in rows if "`test_" not in row] == []


def test_it_lists_how_the_examples_differ() -> None:
    table = PAGE.split("## The examples, step by step")[1]
    rows = [line for line in table.splitlines() if line.startswith("| 0")]
    assert rows == [
        f"| {row.example[:2]} | {row.step} | {row.aspect}"
        f" | `{json.dumps(row.answer, ensure_ascii=False)}` | {row.reason} |"
        for row in DIFFERENCES
    ]
