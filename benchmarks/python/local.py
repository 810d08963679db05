"""Measures hits in the memory of the process: `local.py SUBJECT PORT LOOP SECONDS`.

Prints the CPU time of the whole process per call, in ns.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from products import Product, product

#: The number of entries that are read in turn.
ENTRIES = 100

TTL = 300

NAMES = [f"4711-{number}" for number in range(ENTRIES)]

#: Reads an entry, from its name.
Get = Callable[[str], Awaitable[Any]]
#: Reads an entry, from its name and a factory.
Load = Callable[..., Awaitable[Any]]


async def factory() -> Product:
    """Is the factory of existing entries, which is never called."""
    raise AssertionError("the entry is missing")


async def dictionary(_: int) -> Get:
    table = {name: product(200) for name in NAMES}

    async def get(name: str) -> Product | None:
        return table.get(name)

    return get


async def cachebox_get(_: int) -> Get:
    import cachebox

    table = cachebox.LRUCache(10_000)
    for name in NAMES:
        table[name] = product(200)

    async def get(name: str) -> Any:
        return table.get(name)

    return get


async def cachebox_cached(_: int) -> Get:
    """Its decorator, which computes what is missing."""
    import cachebox

    @cachebox.cached(cachebox.LRUCache(10_000), postprocess=None)
    async def get(name: str) -> Product:
        return product(200)

    return get


async def cashews_cache() -> Any:
    from cashews import Cache

    cache = Cache()
    cache.setup("mem://", size=10_000)
    for name in NAMES:
        await cache.set(name, product(200), expire=TTL)
    return cache


async def cashews_get(_: int) -> Get:
    return (await cashews_cache()).get


async def cashews_get_or_set(_: int) -> Load:
    return (await cashews_cache()).get_or_set


async def service(url: str, **options: Any) -> Any:
    from hotshelf import CacheManager, CacheService

    made = CacheService(CacheManager(url, **options), "products", Product, ttl=TTL)
    for name in NAMES:
        await made.set(name, product(200))
    return made


async def memory_get(_: int) -> Get:
    return (await service("memory://")).get


async def memory_get_or_set(_: int) -> Load:
    return (await service("memory://")).get_or_set


async def near(port: int) -> Any:
    return await service(f"redis://127.0.0.1:{port}", near=True, read_timeout=10)


async def near_get(port: int) -> Get:
    return (await near(port)).get


async def near_get_or_set(port: int) -> Load:
    return (await near(port)).get_or_set


GETS: dict[str, Callable[[int], Awaitable[Get]]] = {
    "dict": dictionary,
    "hotshelf memory get": memory_get,
    "hotshelf near get": near_get,
    "cachebox get": cachebox_get,
    "cachebox cached": cachebox_cached,
    "cashews get": cashews_get,
}
LOADS: dict[str, Callable[[int], Awaitable[Load]]] = {
    "hotshelf memory get_or_set": memory_get_or_set,
    "hotshelf near get_or_set": near_get_or_set,
    "cashews get_or_set": cashews_get_or_set,
}


async def measure(subject: str, port: int, seconds: float) -> dict[str, float]:
    if subject in GETS:
        call, cost = await GETS[subject](port), cost_of_get
    else:
        call, cost = await LOADS[subject](port), cost_of_load
    # The first reads decode, or are admitted to the near tier.
    each = await cost(call, 20) / 20
    gc.collect()
    rounds = max(20, int(seconds / each))
    return {"cpu": await cost(call, rounds) * 1e9 / rounds / ENTRIES}


async def cost_of_get(get: Get, rounds: int) -> float:
    cpu = time.process_time()
    for _ in range(rounds):
        for name in NAMES:
            found = await get(name)
    assert type(found) is Product
    return time.process_time() - cpu


async def cost_of_load(load: Load, rounds: int) -> float:
    cpu = time.process_time()
    for _ in range(rounds):
        for name in NAMES:
            found = await load(name, factory)
    assert type(found) is Product
    return time.process_time() - cpu


def main() -> None:
    subject, port, loop, seconds = sys.argv[1:]
    work = measure(subject, int(port), float(seconds))
    if loop == "uvloop":
        import uvloop

        result = uvloop.run(work)
    else:
        result = asyncio.run(work)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
