"""fastapi-redis-sdk: `CacheBackend` with its coder for a model.

Its decorator caches responses of endpoints, and no functions. It has no memory, and its sync
methods run on the event loop of FastAPI.
"""

from __future__ import annotations

from products import Product
from subjects import CONNECTIONS, NAMESPACE, TTL, Calls, Source, Subject


async def backend(port: int, source: Source) -> Calls:
    from redis.asyncio import Redis
    from redis_fastapi import CacheBackend
    from redis_fastapi.types import pydantic_model_coder

    redis = Redis(port=port, max_connections=CONNECTIONS)
    cache = CacheBackend(redis, eviction_group=NAMESPACE, coder=pydantic_model_coder(Product))

    async def get(name: str) -> Product:
        found: Product | None = await cache.get(name)
        if found is None:
            found = source.make()
            await cache.set(name, found, ttl=TTL)
        return found

    return Calls(get)


REDIS = [Subject("fastapi-redis-sdk", "fastapi-redis-sdk", backend)]
