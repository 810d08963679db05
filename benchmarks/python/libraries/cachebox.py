"""cachebox: its decorator, async and sync, which returns the stored object."""

from __future__ import annotations

from products import Product
from subjects import CAPACITY, TTL, Calls, Source, Subject


async def cached(_: int, source: Source) -> Calls:
    import cachebox

    @cachebox.cached(cachebox.TTLCache(CAPACITY, TTL), postprocess=None)
    async def get(name: str) -> Product:
        return source.make()

    return Calls(get)


def sync_cached(_: int, source: Source) -> Calls:
    import cachebox

    @cachebox.cached(cachebox.TTLCache(CAPACITY, TTL), postprocess=None)
    def get(name: str) -> Product:
        return source.make()

    return Calls(get)


MEMORY = [Subject("cachebox @cached", "cachebox", cached)]
SYNC_MEMORY = [Subject("cachebox @cached", "cachebox", sync_cached)]
