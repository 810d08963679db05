"""cachetools: its decorator, with the lock that threads need."""

from __future__ import annotations

import threading

from products import Product
from subjects import CAPACITY, TTL, Calls, Source, Subject


def cached(_: int, source: Source) -> Calls:
    import cachetools

    @cachetools.cached(cachetools.TTLCache(CAPACITY, TTL), lock=threading.Lock())
    def get(name: str) -> Product:
        return source.make()

    return Calls(get)


SYNC_MEMORY = [Subject("cachetools @cached", "cachetools", cached)]
