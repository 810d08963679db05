"""Compares the cost of a call with other Python libraries: CPU time of the process.

`main.py [redis|memory|sync|outages] [quick]`: runs alternate between the libraries, each in its
own process, against one server. Without a section, all are measured. Tables show the best run and
the median; `target/bench/python.json` has all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from comparisons import ComparedRows
from goals import at_least, at_most
from libraries import TABLES
from memory import memory, sync_memory
from server import Server, redis_server
from situations import frozen, herd
from subjects import Subject
from turns import Plan, print_table, take_turns

CALLERS = (1, 32, 256)
THREADS = (1, 8)


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
    sections = [word for word in words if word != "quick"]
    if len(sections) > 1 or not set(sections) <= set(SECTIONS):
        raise SystemExit(f"usage: ./bench python [{'|'.join(SECTIONS)}] [quick]")
    effort = QUICK if "quick" in words else FULL
    rows = ComparedRows()
    with redis_server() as server:
        for section in sections or SECTIONS:
            SECTIONS[section](server, rows, effort)
    rows.summary()
    path = Path("target/bench/python.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows.rows, indent=2, ensure_ascii=False))


def redis(server: Server, rows: ComparedRows, effort: Effort) -> None:
    """Measures async hits and misses on Redis."""
    subjects = TABLES["redis"]
    loading = [subject for subject in subjects if subject.makes_products]
    for loop in effort.loops:
        for size in effort.sizes:
            calls(server, rows, effort, "hit", subjects, size, loop)
        calls(server, rows, effort, "miss", loading, 200, loop)
    goals(rows, effort)


def calls(server: Server, rows: ComparedRows, effort: Effort, kind: str, subjects: list[Subject],
          size: int, loop: str) -> None:
    columns = {
        variant(size, callers, loop): (kind, size, callers, loop, effort.seconds)
        for callers in CALLERS
    }
    plan = Plan(f"a {kind} on Redis", "redis", subjects, "calls.py", columns, effort.repeats)
    print_table(plan, take_turns(server, rows, plan))


def in_memory(server: Server, rows: ComparedRows, effort: Effort) -> None:
    """Measures async hits in memory."""
    memory(server, rows, effort.repeats + 2, effort.seconds)


def sync(server: Server, rows: ComparedRows, effort: Effort) -> None:
    """Measures sync hits in memory and on Redis."""
    sync_memory(server, rows, effort.repeats + 2, effort.seconds)
    # With several threads, costs depend on who holds the interpreter's lock on which core: they
    # vary more, so that there are more and longer runs.
    repeats, seconds = effort.repeats + 5, effort.seconds * 3
    for size in effort.sizes:
        columns = {
            f"{size} bytes, {threads} thread{'s' * (threads > 1)}": (size, threads, seconds)
            for threads in THREADS
        }
        plan = Plan("a sync hit on Redis", "sync redis", TABLES["sync redis"], "threads.py",
                    columns, repeats)
        print_table(plan, take_turns(server, rows, plan))


def outages(server: Server, rows: ComparedRows, effort: Effort) -> None:
    """Counts loads of a cold key, and measures calls while Redis is stopped."""
    herd(server, rows)
    frozen(server, rows, effort.frozen_most)


SECTIONS: dict[str, Callable[[Server, ComparedRows, Effort], None]] = {
    "redis": redis,
    "memory": in_memory,
    "sync": sync,
    "outages": outages,
}


def variant(size: int, callers: int, loop: str) -> str:
    return f"{size} bytes, {callers} caller{'s' * (callers > 1)}, {loop}"


def goals(rows: ComparedRows, effort: Effort) -> None:
    print("\nGoals, by the best runs\n")
    for loop in effort.loops:
        for callers, goal in zip(CALLERS, (4, 10, 10), strict=True):
            ratio = ratio_of(rows, "fastapi-rc get_or_set", "hotshelf get_or_set", callers, loop)
            at_least(f"{loop}, {callers} callers: times less CPU for a hit than fastapi-rc",
                     ratio, goal)
        for callers in CALLERS:
            ratio = ratio_of(rows, "hotshelf undecoded", "hotshelf bare", callers, loop)
            at_most(f"{loop}, {callers} callers: times the CPU of the bare read, without pydantic",
                    ratio, 1.6)


def ratio_of(rows: ComparedRows, one: str, other: str, callers: int, loop: str) -> float:
    """Returns the CPU time of a hit of 200 bytes, as a multiple of the other library's."""
    where = variant(200, callers, loop)
    costs = [rows.costs("a hit on Redis", library, where)[0] for library in (one, other)]
    return costs[0] / costs[1]


main()
