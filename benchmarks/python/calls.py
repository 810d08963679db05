"""Measures the calls of one library: `calls.py LIBRARY hit|miss PORT SIZE CALLERS LOOP SECONDS`.

Prints the CPU time of the whole process per call, in µs, and the calls per second.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from libraries import LIBRARIES, Calls, is_product
from products import product

#: The number of entries that are read in turn.
ENTRIES = 100


async def measure(library: str, kind: str, port: int, size: int, callers: int, seconds: float) -> dict[str, float]:
    calls = await LIBRARIES[library](port)
    call, keys = await (hits if kind == "hit" else misses)(calls, size)
    await run(call, keys, callers, max(callers * 2, 500))
    # As many calls as take the given time, based on their cost after warm-up.
    count = max(callers * 4, 400)
    seconds_each = (await cost(call, keys, callers, count))[0] / count
    count = max(count, int(seconds / seconds_each))
    gc.collect()
    cpu, wall = await cost(call, keys, callers, count)
    done = count // callers * callers
    return {"cpu": cpu * 1e6 / done, "throughput": done / wall}


async def hits(calls: Calls, size: int) -> tuple[Callable[[str], Awaitable[Any]], Iterator[str]]:
    names = [f"4711-{number}" for number in range(ENTRIES)]
    for name in names:
        await calls.write(name, product(size))
        if not is_product(await calls.read(name)):
            raise SystemExit("the read value differs from the written one")
    return calls.read, itertools.cycle(names)


async def misses(calls: Calls, size: int) -> tuple[Callable[[str], Awaitable[Any]], Iterator[str]]:
    load, made = calls.load, product(size)
    assert load is not None

    async def factory() -> Any:
        return made

    async def miss(name: str) -> None:
        await load(name, factory)

    return miss, (f"{os.getpid()}-{number}" for number in itertools.count())


async def cost(call: Any, keys: Iterator[str], callers: int, count: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    await run(call, keys, callers, count)
    return time.process_time() - cpu, time.perf_counter() - wall


async def run(call: Any, keys: Iterator[str], callers: int, count: int) -> None:
    async def caller() -> None:
        for _ in range(count // callers):
            await call(next(keys))

    if callers == 1:
        await caller()
    else:
        await asyncio.gather(*(caller() for _ in range(callers)))


def main() -> None:
    library, kind, port, size, callers, loop, seconds = sys.argv[1:]
    work = measure(library, kind, int(port), int(size), int(callers), float(seconds))
    if loop == "uvloop":
        import uvloop

        result = uvloop.run(work)
    else:
        result = asyncio.run(work)
    print(json.dumps(result))


main()
