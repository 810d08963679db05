"""Tests that the migration page refers to existing tests, and lists all differences."""

from __future__ import annotations

import json
import re
from pathlib import Path

from test_examples import DIFFERENCES

TESTS = Path(__file__).parent
PAGE = (TESTS.parents[2] / "docs" / "migrating-from-fastapi-rc.md").read_text()


def test_named_tests_exist() -> None:
    sources = "\n".join(path.read_text() for path in TESTS.glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 20
    assert named <= set(re.findall(r"def (test_\w+)", sources))


def test_improvements_name_their_test() -> None:
    table = PAGE.split("## Improvements")[1].split("##")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 10
    assert [row for row in rows if "`test_" not in row] == []


def test_page_lists_example_differences() -> None:
    table = PAGE.split("## The examples, step by step")[1]
    rows = [line for line in table.splitlines() if line.startswith("| 0")]
    assert rows == [
        f"| {row.example[:2]} | {row.step} | {row.aspect}"
        f" | `{json.dumps(row.answer, ensure_ascii=False)}` | {row.reason} |"
        for row in DIFFERENCES
    ]
