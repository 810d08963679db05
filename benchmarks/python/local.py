"""Measures hits in the memory of the process: `local.py TABLE SUBJECT PORT SECONDS`.

Prints the CPU time of the whole process per call, in ns. Async calls run on uvloop.
"""

from __future__ import annotations

import gc
import json
import sys
import time

from libraries import subject
from products import Product
from subjects import Calls, Source

#: The entries that are read in turn.
NAMES = [f"4711-{number}" for number in range(100)]


async def measure(calls: Calls, source: Source, seconds: float) -> float:
    for name in NAMES:
        await (calls.store or calls.call)(name)
    # The first reads decode, or are admitted to a near tier.
    each = await cost(calls, 20)
    gc.collect()
    made = source.calls
    found = await cost(calls, rounds_of(each, seconds))
    check_hits(source, made)
    return found


async def cost(calls: Calls, rounds: int) -> float:
    """Returns the CPU time of a call, in seconds."""
    call = calls.call
    cpu = time.process_time()
    for _ in range(rounds):
        for name in NAMES:
            found = await call(name)
    cpu = time.process_time() - cpu
    assert type(found) is Product
    return cpu / rounds / len(NAMES)


def measure_sync(calls: Calls, source: Source, seconds: float) -> float:
    for name in NAMES:
        (calls.store or calls.call)(name)
    each = cost_sync(calls, 20)
    gc.collect()
    made = source.calls
    found = cost_sync(calls, rounds_of(each, seconds))
    check_hits(source, made)
    return found


def cost_sync(calls: Calls, rounds: int) -> float:
    call = calls.call
    cpu = time.process_time()
    for _ in range(rounds):
        for name in NAMES:
            found = call(name)
    cpu = time.process_time() - cpu
    assert type(found) is Product
    return cpu / rounds / len(NAMES)


def rounds_of(each: float, seconds: float) -> int:
    """Returns the rounds that take the given time."""
    return max(20, int(seconds / each / len(NAMES)))


def check_hits(source: Source, made: int) -> None:
    if source.calls != made:
        raise SystemExit(f"{source.calls - made} calls were misses")


async def run(table: str, name: str, port: int, seconds: float) -> float:
    source = Source(200)
    return await measure(await subject(table, name).open(port, source), source, seconds)


def main() -> None:
    table, name, port, seconds = sys.argv[1:]
    if table.startswith("sync"):
        source = Source(200)
        found = measure_sync(subject(table, name).open(int(port), source), source, float(seconds))
    else:
        import uvloop

        found = uvloop.run(run(table, name, int(port), float(seconds)))
    print(json.dumps({"cpu": found * 1e9}))


main()
