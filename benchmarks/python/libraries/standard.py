"""The standard library: a dict, which is the least that a call costs, and `lru_cache`."""

from __future__ import annotations

import functools

from products import Product
from subjects import CAPACITY, Calls, Source, Subject


async def dictionary(_: int, source: Source) -> Calls:
    table: dict[str, Product] = {}

    async def get(name: str) -> Product | None:
        return table.get(name)

    async def store(name: str) -> None:
        table[name] = source.make()

    return Calls(get, store)


def sync_dictionary(_: int, source: Source) -> Calls:
    table: dict[str, Product] = {}

    def get(name: str) -> Product | None:
        return table.get(name)

    def store(name: str) -> None:
        table[name] = source.make()

    return Calls(get, store)


def lru_cache(_: int, source: Source) -> Calls:
    @functools.lru_cache(CAPACITY)
    def get(name: str) -> Product:
        return source.make()

    return Calls(get)


MEMORY = [Subject("dict", "hotshelf", dictionary, "part")]
SYNC_MEMORY = [
    Subject("dict", "hotshelf", sync_dictionary, "part"),
    Subject("functools.lru_cache", "hotshelf", lru_cache),
]
