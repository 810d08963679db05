"""Measures async calls on Redis: `calls.py TABLE SUBJECT PORT hit|miss SIZE CALLERS LOOP SECONDS`.

Prints the CPU time of the whole process per call, in µs.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from libraries import subject
from subjects import Source, Subject, is_product

#: The number of entries that are read in turn: more than there are callers, since some libraries
#: answer concurrent calls for one key by one read.
ENTRIES = 1000


async def measure(
    measured: Subject, port: int, kind: str, size: int, callers: int, seconds: float
) -> dict[str, float]:
    source = Source(size)
    calls = await measured.open(port, source)
    if kind == "hit":
        keys: Iterator[str] = itertools.cycle([f"4711-{number}" for number in range(ENTRIES)])
        for name in itertools.islice(keys, ENTRIES):
            await (calls.store or calls.call)(name)
    else:
        keys = (f"{os.getpid()}-{number}" for number in itertools.count())
    if not is_product(await calls.call(next(keys))):
        raise SystemExit("the read value differs from the written one")
    await run(calls.call, keys, callers, max(callers * 2, 500))
    # As many calls as take the given time, based on their cost after warm-up.
    count = max(callers * 4, 400)
    count = max(count, int(seconds / await cost(calls.call, keys, callers, count)))
    gc.collect()
    made = source.calls
    cpu = await cost(calls.call, keys, callers, count)
    done = count // callers * callers
    if source.calls - made != (0 if kind == "hit" else done):
        raise SystemExit(f"{source.calls - made} of {done} calls were misses")
    return {"cpu": cpu * 1e6}


async def cost(call: Any, keys: Iterator[str], callers: int, count: int) -> float:
    """Returns the CPU time of a call, in seconds."""
    cpu = time.process_time()
    await run(call, keys, callers, count)
    return (time.process_time() - cpu) / (count // callers * callers)


async def run(call: Any, keys: Iterator[str], callers: int, count: int) -> None:
    async def caller() -> None:
        for _ in range(count // callers):
            await call(next(keys))

    if callers == 1:
        await caller()
    else:
        await asyncio.gather(*(caller() for _ in range(callers)))


def main() -> None:
    table, name, port, kind, size, callers, loop, seconds = sys.argv[1:]
    measured = subject(table, name)
    work = measure(measured, int(port), kind, int(size), int(callers), float(seconds))
    if loop == "uvloop":
        import uvloop

        result = uvloop.run(work)
    else:
        result = asyncio.run(work)
    print(json.dumps(result))


main()
