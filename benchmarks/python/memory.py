"""Hits in the memory of the process, compared with a read of a dict."""

from __future__ import annotations

from comparisons import ComparedRows
from goals import at_most
from libraries import TABLES
from server import Server
from subjects import Subject
from turns import Plan, print_table, take_turns

MEASURE = "a hit in memory"
VARIANT = "200 bytes, uvloop"

#: The most that a hit costs, in ns and as a multiple of the awaited read of a dict.
GOAL, MOST = 450, 3


def memory(server: Server, rows: ComparedRows, repeats: int, seconds: float) -> None:
    """Measures async hits, and prints tables and the goals."""
    found: dict[Subject, list[tuple[float, float]]] = {}
    for table, measure in (("memory", MEASURE), ("near", f"{MEASURE}, in front of Redis")):
        plan = Plan(measure, table, TABLES[table], "local.py", {VARIANT: (seconds,)}, repeats, "ns")
        costs = take_turns(server, rows, plan)
        print_table(plan, costs)
        found |= costs
    print()
    least = rows.costs(MEASURE, "dict", VARIANT)[0]
    for subject, [(best, median)] in found.items():
        if subject.environment == "hotshelf" and subject.name != "dict":
            at_most(f"{subject.name}, ns", median, GOAL)
            at_most(f"{subject.name}, times dict", best / least, MOST)


def sync_memory(server: Server, rows: ComparedRows, repeats: int, seconds: float) -> None:
    """Measures sync hits, and prints a table."""
    plan = Plan(f"a sync {MEASURE[2:]}", "sync memory", TABLES["sync memory"], "local.py",
                {"200 bytes": (seconds,)}, repeats, "ns")
    print_table(plan, take_turns(server, rows, plan))
