"""Situations that are measured once: concurrent callers, and a stopped Redis."""

from __future__ import annotations

import time

from goals import at_most
from rows import Rows
from server import Server
from turns import command, result, start

PROCESSES, CALLERS = 4, 200
LIBRARIES = ("hotshelf", "fastapi-rc")


def herd(server: Server, rows: Rows) -> None:
    """Counts the factory calls of many callers in many processes for one cold key."""
    print(f"\n{PROCESSES} processes of {CALLERS} callers on one cold key\n")
    print("| library | factory calls |\n| --- | ---: |")
    counts = {}
    for library in LIBRARIES:
        server.flush()
        begin = time.time() + 5
        words = command("herd.py", library, library, server.port, CALLERS, begin)
        processes = [start(words) for _ in range(PROCESSES)]
        count = sum(result(library, process)["factory calls"] for process in processes)
        counts[library] = count
        variant = f"{PROCESSES} processes of {CALLERS} callers"
        rows.add_all("factory calls", library, variant, [count], "calls")
        print(f"| {library} | {count} |", flush=True)
    print()
    at_most("hotshelf, factory calls", counts["hotshelf"], 1)


def frozen(server: Server, rows: Rows, most: float) -> None:
    """Measures latencies while Redis is stopped: 3 seconds, or until the last call returns."""
    print("\n20 callers while Redis is stopped: ms that get_or_set takes\n")
    print("| library | p50 | p99 | max | calls | cut off |\n| --- |" + " ---: |" * 5)
    slow = {}
    for library in LIBRARIES:
        server.flush()
        words = command("frozen.py", library, library, server.port, server.pid, 3, most)
        found = result(library, start(words))
        slow[library] = found["p99"]
        for name in ("p50", "p99", "max"):
            variant = "20 callers, Redis stopped"
            if found["cut off"]:
                variant += f", cut off after {most:g} s"
            rows.add_all(f"{name} latency", library, variant, [found[name]], "ms")
        cells = [library, *(f"{found[name]:.1f}" for name in ("p50", "p99", "max"))]
        print(f"| {' | '.join(cells)} | {found['calls']} | {found['cut off']} |", flush=True)
        if found["cut off"]:
            print(f"\n{library} was cut off after {most:g} s: it would have waited longer.\n")
    print()
    at_most("hotshelf, p99 in ms", slow["hotshelf"], 300)
