"""cashews: its decorator and `get_or_set`, in memory, on Redis, and with its client-side cache.

It stores pickles. `register_type` gives a type an encoding of its own.
"""

from __future__ import annotations

from typing import Any

from products import Product
from subjects import CAPACITY, CONNECTIONS, TTL, Calls, Source, Subject

KEY = "products:{name}"


def on_redis(port: int, **options: Any) -> Any:
    from cashews import Cache

    cache = Cache()
    cache.setup(f"redis://127.0.0.1:{port}", max_connections=CONNECTIONS, **options)
    return cache


def in_memory() -> Any:
    from cashews import Cache

    cache = Cache()
    cache.setup("mem://", size=CAPACITY)
    return cache


def decorated(cache: Any, source: Source) -> Calls:
    @cache(ttl=TTL, key=KEY)
    async def get(name: str) -> Product:
        return source.make()

    return Calls(get)


async def pickled(port: int, source: Source) -> Calls:
    return decorated(on_redis(port), source)


async def registered(port: int, source: Source) -> Calls:
    from cashews.serialize import register_type

    async def encode(value: Product, *_: Any) -> bytes:
        return value.model_dump_json().encode()

    async def decode(value: bytes, *_: Any) -> Product:
        return Product.model_validate_json(value)

    register_type(Product, encode, decode)
    # Without a pickler: the default one would try each value first.
    return decorated(on_redis(port, pickle_type="null"), source)


async def client_side(port: int, source: Source) -> Calls:
    return decorated(on_redis(port, client_side=True), source)


async def memory_cached(_: int, source: Source) -> Calls:
    return decorated(in_memory(), source)


async def memory_get_or_set(_: int, source: Source) -> Calls:
    cache = in_memory()
    return Calls(lambda name: cache.get_or_set(name, source.load, TTL))


REDIS = [
    Subject("cashews, pickle", "cashews", pickled),
    Subject("cashews, JSON", "cashews", registered),
]
MEMORY = [
    Subject("cashews", "cashews", memory_cached),
    Subject("cashews get_or_set", "cashews", memory_get_or_set),
]
NEAR = [Subject("cashews, client side", "cashews", client_side)]
