"""Compares the cost of a call with other Python libraries: CPU time of the process.

`main.py [memory] [quick]`: runs alternate between the libraries, each in its own process,
against one server. `memory` measures hits in the memory of the process alone. Tables show the
best run and the median; `target/bench/python.json` has all.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from memory import memory
from rows import Rows
from server import redis_server
from situations import frozen, herd
from turns import CALLERS, Plan, has_fastapi_rc, take_turns

HITS = [
    "hotshelf get_or_set",
    "hotshelf get",
    "hotshelf undecoded",
    "hotshelf bare",
    "hotshelf command",
    "fastapi-rc get_or_set",
    "redis-py by hand",
    "redis-py raw GET",
    "valkey-glide raw GET",
]
MISSES = ["hotshelf get_or_set", "fastapi-rc get_or_set", "redis-py by hand"]


@dataclass
class Effort:
    repeats: int
    seconds: float
    sizes: tuple[int, ...]
    loops: tuple[str, ...]
    frozen_most: float


FULL = Effort(3, 0.25, (200, 10_000), ("asyncio", "uvloop"), 10)
QUICK = Effort(2, 0.1, (200,), ("uvloop",), 5)


def main() -> None:
    words = sys.argv[1:]
    if words not in ([], ["quick"], ["memory"], ["memory", "quick"]):
        raise SystemExit("usage: ./bench python [memory] [quick]")
    effort = QUICK if "quick" in words else FULL
    rows = Rows()
    if "memory" in words:
        with redis_server() as server:
            memory(server, rows, effort.repeats + 2, effort.seconds)
    else:
        compare(effort, rows)
    path = Path("target/bench/python.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows.rows, indent=2, ensure_ascii=False))


def compare(effort: Effort, rows: Rows) -> None:
    if not has_fastapi_rc():
        print("skipping fastapi-rc, which needs Python 3.12 or newer")
    with redis_server() as server:
        for loop in effort.loops:
            for size in effort.sizes:
                take_turns(server, rows, plan(effort, "hit", size, loop, HITS))
            take_turns(server, rows, plan(effort, "miss", 200, loop, MISSES))
        herd(server, rows)
        frozen(server, rows, effort.frozen_most)
        memory(server, rows, effort.repeats + 2, effort.seconds)
    goals(rows, effort)


def plan(effort: Effort, kind: str, size: int, loop: str, libraries: list[str]) -> Plan:
    return Plan(kind, size, loop, libraries, effort.repeats, effort.seconds)


def goals(rows: Rows, effort: Effort) -> None:
    print("\nGoals, by the best runs\n")
    for loop in effort.loops:
        for callers, goal in zip(CALLERS, (4, 10, 10), strict=True):
            ratio = ratio_of(rows, "fastapi-rc get_or_set", "hotshelf get_or_set", callers, loop)
            text = f"{loop}, {callers} callers: times less CPU for a hit than fastapi-rc"
            goal_line(text, ratio, f"{goal}", ratio is not None and ratio >= goal)
        for callers in CALLERS:
            ratio = ratio_of(rows, "hotshelf undecoded", "hotshelf bare", callers, loop)
            text = f"{loop}, {callers} callers: times the CPU of the bare read, without pydantic"
            goal_line(text, ratio, "1.6", ratio is not None and ratio <= 1.6)
    calls = rows.best("factory calls", "hotshelf", "4 processes of 200 callers")
    goal_line("factory calls of 800 callers", calls, "1", calls == 1)
    slow = rows.best("p99 latency", "hotshelf", "20 callers, Redis stopped")
    goal_line("p99 with Redis stopped, ms", slow, "300", slow is not None and slow < 300)


def ratio_of(rows: Rows, one: str, other: str, callers: int, loop: str) -> float | None:
    """Returns the CPU time of a hit of 200 bytes, as a multiple of the other library's."""
    variant = f"200 bytes, {callers} callers, {loop}"
    costs = [rows.best("CPU of a hit", library, variant) for library in (one, other)]
    if costs[0] is None or costs[1] is None:
        return None
    return costs[0] / costs[1]


def goal_line(text: str, value: float | None, goal: str, reached: bool) -> None:
    if value is not None:
        print(f"- {text}: {value:.2f}, goal {goal}: {'reached' if reached else 'missed'}")


main()
