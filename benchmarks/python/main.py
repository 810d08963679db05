"""What a call costs Python: CPU time of its process, beside other libraries.

`main.py [quick]`: libraries take turns, each run is a process of its own, against one
server. Tables show the best run and the median one; `target/bench/python.json` has all.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from rows import Rows
from server import Server, redis_server
from situations import frozen, herd
from turns import CALLERS, Plan, has_fastapi_rc, take_turns

HITS = [
    "hotshelf get_or_set",
    "hotshelf get",
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


FULL = Effort(5, 0.4, (200, 10_000), ("asyncio", "uvloop"), 10)
QUICK = Effort(2, 0.1, (200,), ("uvloop",), 5)


def main() -> None:
    if sys.argv[1:] not in ([], ["quick"]):
        raise SystemExit("usage: ./bench python [quick]")
    effort = QUICK if sys.argv[1:] else FULL
    rows = Rows()
    if not has_fastapi_rc():
        print("without fastapi-rc, which needs Python 3.12 or newer")
    with redis_server() as server:
        for loop in effort.loops:
            for size in effort.sizes:
                take_turns(server, rows, plan(effort, "hit", size, loop, HITS))
            take_turns(server, rows, plan(effort, "miss", 200, loop, MISSES))
        herd(server, rows)
        frozen(server, rows, effort.frozen_most)
    goals(rows, effort)
    place = Path("target/bench/python.json")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(rows.rows, indent=2, ensure_ascii=False))


def plan(effort: Effort, kind: str, size: int, loop: str, libraries: list[str]) -> Plan:
    return Plan(kind, size, loop, libraries, effort.repeats, effort.seconds)


def goals(rows: Rows, effort: Effort) -> None:
    print("\nGoals\n")
    for loop in effort.loops:
        best = {
            (library, callers): rows.best("CPU of a hit", library, f"200 bytes, {callers} callers, {loop}")
            for library in HITS
            for callers in CALLERS
        }
        for callers, goal in zip(CALLERS, (4, 10, 10)):
            ours, theirs = best["hotshelf get_or_set", callers], best["fastapi-rc get_or_set", callers]
            if ours and theirs:
                goal_line(
                    f"{loop}, {callers} callers: times less CPU for a hit than fastapi-rc",
                    theirs / ours, goal, theirs / ours >= goal,
                )
        for callers in CALLERS:
            ours, bare = best["hotshelf get_or_set", callers], best["hotshelf bare", callers]
            if ours and bare:
                goal_line(
                    f"{loop}, {callers} callers: times the CPU of the bare read",
                    ours / bare, 1.6, ours / bare <= 1.6,
                )
    calls = rows.best("factory calls", "hotshelf", "4 processes of 200 callers")
    goal_line("factory calls of 800 callers", calls, 1, calls == 1)
    slow = rows.best("p99 latency", "hotshelf", "20 callers, Redis stopped")
    goal_line("p99 latency with Redis stopped, ms", slow, 300, slow is not None and slow < 300)


def goal_line(text: str, value: float | None, goal: float, reached: bool) -> None:
    if value is not None:
        print(f"- {text}: {value:.2f}, goal {goal}: {'reached' if reached else 'missed'}")


main()
