"""fastapi-cache2: its decorator, in memory and on Redis.

Its memory holds encoded values, too. Its JSON coder returns dicts, which FastAPI validates later;
the one here returns the model.
"""

from __future__ import annotations

from typing import Any

from products import Product
from subjects import CONNECTIONS, NAMESPACE, TTL, Calls, Source, Subject


def decorated(backend: Any, source: Source, coder: Any) -> Calls:
    from fastapi_cache import FastAPICache
    from fastapi_cache.decorator import cache

    FastAPICache.init(backend, prefix=NAMESPACE)

    @cache(expire=TTL, coder=coder)
    async def get(name: str) -> Product:
        return source.make()

    return Calls(get)


def on_redis(port: int) -> Any:
    from fastapi_cache.backends.redis import RedisBackend
    from redis.asyncio import Redis

    return RedisBackend(Redis(port=port, max_connections=CONNECTIONS))


def in_memory() -> Any:
    from fastapi_cache.backends.inmemory import InMemoryBackend

    return InMemoryBackend()


def pickle_coder() -> Any:
    from fastapi_cache.coder import PickleCoder

    return PickleCoder


def json_coder() -> Any:
    from fastapi_cache import Coder

    class ProductCoder(Coder):
        @classmethod
        def encode(cls, value: Product) -> bytes:
            return value.model_dump_json().encode()

        @classmethod
        def decode(cls, value: bytes) -> Product:
            return Product.model_validate_json(value)

    return ProductCoder


async def pickled(port: int, source: Source) -> Calls:
    return decorated(on_redis(port), source, pickle_coder())


async def own(port: int, source: Source) -> Calls:
    return decorated(on_redis(port), source, json_coder())


async def memory_pickled(_: int, source: Source) -> Calls:
    return decorated(in_memory(), source, pickle_coder())


async def memory_own(_: int, source: Source) -> Calls:
    return decorated(in_memory(), source, json_coder())


REDIS = [
    Subject("fastapi-cache2, pickle", "fastapi-cache2", pickled),
    Subject("fastapi-cache2, JSON", "fastapi-cache2", own),
]
MEMORY = [
    Subject("fastapi-cache2, pickle", "fastapi-cache2", memory_pickled),
    Subject("fastapi-cache2, JSON", "fastapi-cache2", memory_own),
]
