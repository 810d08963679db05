"""A process with one cache: `client.py LIBRARY read|busy|change PORT DATABASE`.

`read` reads a key every 10 ms, and prints for each read when it began and ended, and the value or
`refused`. `busy` also reads keys that are not in the cache, beside it. `change` writes the
database's value at the start and again after a line of input, and prints the time whenever it has
done so. Times are those of the monotonic clock, which all processes share.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import sys
import time
from pathlib import Path

from caches import LIBRARIES, Cache

KEY = "1"

#: The standard output, where nothing else is printed: libraries' logs go to the standard error.
RESULTS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


async def main() -> None:
    label, role, port, database = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    library = next(library for library in LIBRARIES if library.label == label)
    cache = await library.open(int(port), Path(database))
    if role == "change":
        return await changes(cache)
    if role == "busy":
        others = asyncio.create_task(misses(cache))
        others.add_done_callback(lambda ended: ended.result())
    await reads(cache)


async def reads(cache: Cache) -> None:
    while True:
        began = time.monotonic()
        try:
            result = str(await cache.read(KEY))
        except Exception:
            result = "refused"
        print(began, time.monotonic(), result, file=RESULTS, flush=True)
        await asyncio.sleep(0.01)


async def misses(cache: Cache) -> None:
    for number in itertools.count():
        with contextlib.suppress(Exception):
            await cache.read(f"other {number}")
        await asyncio.sleep(0.1)


async def changes(cache: Cache) -> None:
    while True:
        await cache.change(KEY)
        print(time.monotonic(), file=RESULTS, flush=True)
        await asyncio.to_thread(sys.stdin.readline)


asyncio.run(main())
