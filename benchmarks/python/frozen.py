"""Latencies while Redis does not answer: `frozen.py LIBRARY PORT PID SECONDS MOST`.

Stops the process of Redis, and continues it at the end. Each of 20 callers calls for the
given seconds, with a pause of 10 ms after each call. A call that takes longer than `MOST`
seconds is cut off, and counted with that time. Prints ms.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from typing import Any

from herd import service
from products import Product, product

CALLERS = 20


async def main() -> None:
    library, port, pid, seconds, most = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    cache, made = service(library, int(port)), product(200)
    for caller in range(CALLERS):
        await cache.set(str(caller), made)
    end = time.perf_counter() + float(seconds)
    latencies: list[float] = []
    cut = 0

    async def factory() -> Product:
        return made

    async def call(caller: int) -> None:
        nonlocal cut
        while (began := time.perf_counter()) < end:
            try:
                async with asyncio.timeout(float(most)):
                    await cache.get_or_set(str(caller), factory)
            except TimeoutError:
                cut += 1
            latencies.append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(0.01)

    os.kill(int(pid), signal.SIGSTOP)
    try:
        await asyncio.gather(*(call(caller) for caller in range(CALLERS)))
    finally:
        os.kill(int(pid), signal.SIGCONT)
    print(json.dumps(report(latencies, cut)))


def report(latencies: list[float], cut: int) -> dict[str, Any]:
    latencies.sort()
    return {
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[len(latencies) * 99 // 100],
        "max": latencies[-1],
        "calls": len(latencies),
        "cut off": cut,
    }


asyncio.run(main())
