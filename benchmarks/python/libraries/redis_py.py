"""redis-py, async and sync: typed caches written by hand, and a bare `GET`."""

from __future__ import annotations

from typing import Any

from products import Product
from subjects import CONNECTIONS, NAMESPACE, TTL, Calls, Source, Subject


def client(port: int) -> Any:
    from redis.asyncio import Redis

    return Redis(port=port, max_connections=CONNECTIONS)


async def by_hand(port: int, source: Source) -> Calls:
    redis = client(port)

    async def get(name: str) -> Product:
        found = await redis.get(f"{NAMESPACE}:{name}")
        if found is not None:
            return Product.model_validate_json(found)
        made = source.make()
        await redis.set(f"{NAMESPACE}:{name}", made.model_dump_json(), ex=TTL)
        return made

    return Calls(get)


async def raw(port: int, source: Source) -> Calls:
    redis = client(port)
    return Calls(redis.get, lambda name: redis.set(name, source.product.model_dump_json()))


def sync_by_hand(port: int, source: Source) -> Calls:
    from redis import Redis

    redis = Redis(port=port)

    def get(name: str) -> Product:
        found = redis.get(f"{NAMESPACE}:{name}")
        if found is not None:
            return Product.model_validate_json(found)
        made = source.make()
        redis.set(f"{NAMESPACE}:{name}", made.model_dump_json(), ex=TTL)
        return made

    return Calls(get)


def sync_raw(port: int, source: Source) -> Calls:
    from redis import Redis

    redis = Redis(port=port)
    return Calls(redis.get, lambda name: redis.set(name, source.product.model_dump_json()))


REDIS = [
    Subject("redis-py by hand", "redis-py", by_hand),
    Subject("redis-py raw GET", "redis-py", raw, "part"),
]
SYNC_REDIS = [
    Subject("redis-py by hand", "redis-py", sync_by_hand),
    Subject("redis-py raw GET", "redis-py", sync_raw, "part"),
]
