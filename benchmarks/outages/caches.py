"""The compared libraries: each function opens a cache on Redis at a port.

They are set up as their documentation recommends, with entries that live for `LIFETIME`. The
database is a file, which loaders read; clients of Redis without loaders have their data in Redis.
Libraries are imported where they are used, since each process uses one.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: The lifetime of entries, in seconds.
LIFETIME = 30


@dataclass
class Cache:
    """The calls of a library."""

    #: Reads the value of a key, and loads it if needed.
    read: Callable[[str], Awaitable[int]]
    #: Invalidates a key and writes the database's value, as a process does that has changed it.
    change: Callable[[str], Awaitable[Any]]


def version(database: Path) -> int:
    """Returns the value in the database, which all keys have."""
    return int(database.read_text())


async def hotshelf(port: int, database: Path, *, near: bool = False) -> Cache:
    from hotshelf import CacheManager

    manager = CacheManager(f"redis://127.0.0.1:{port}", near=near)
    items = manager.service("items", int, ttl=LIFETIME)

    async def read(key: str) -> int:
        found: int = await items.get_or_set(key, lambda: version(database))
        return found

    async def change(key: str) -> None:
        await items.delete(key)
        await read(key)

    return Cache(read, change)


async def hotshelf_near(port: int, database: Path) -> Cache:
    return await hotshelf(port, database, near=True)


async def redis_py(port: int, database: Path) -> Cache:
    """The cache exists in the synchronous client only, so that reads take a thread."""
    import asyncio

    from redis import Redis
    from redis.cache import CacheConfig

    client: Any = Redis(host="127.0.0.1", port=port, protocol=3, cache_config=CacheConfig())

    async def read(key: str) -> int:
        return int(await asyncio.to_thread(client.get, key))

    async def change(key: str) -> None:
        await asyncio.to_thread(client.set, key, version(database), ex=LIFETIME)

    return Cache(read, change)


async def valkey_glide(port: int, database: Path) -> Cache:
    from glide import (
        ClientSideCache,
        ExpirySet,
        ExpiryType,
        GlideClient,
        GlideClientConfiguration,
        NodeAddress,
    )

    local = ClientSideCache.create(
        max_cache_kb=10_000, entry_ttl_ms=LIFETIME * 1000, server_assisted=True
    )
    configuration = GlideClientConfiguration(
        [NodeAddress("127.0.0.1", port)], client_side_cache=local
    )
    client: Any = await GlideClient.create(configuration)
    expiry = ExpirySet(ExpiryType.SEC, LIFETIME)

    async def read(key: str) -> int:
        return int(await client.get(key))

    async def change(key: str) -> None:
        await client.set(key, str(version(database)), expiry=expiry)

    return Cache(read, change)


async def coredis(port: int, database: Path) -> Cache:
    from coredis import Redis
    from coredis.patterns.cache import LRUCache

    # Never left: the process ends with it.
    client: Any = await Redis(host="127.0.0.1", port=port, cache=LRUCache()).__aenter__()

    async def read(key: str) -> int:
        return int(await client.get(key))

    async def change(key: str) -> None:
        await client.set(key, version(database), ex=LIFETIME)

    return Cache(read, change)


async def cashews(port: int, database: Path) -> Cache:
    from cashews import cache

    # With RESP3, the default of redis-py 8, it receives no invalidations at all.
    cache.setup(f"redis://127.0.0.1:{port}", client_side=True, protocol=2)

    @cache(ttl=f"{LIFETIME}s", key="item:{key}")
    async def item(key: str) -> int:
        return version(database)

    async def read(key: str) -> int:
        found: int = await item(key)
        return found

    async def change(key: str) -> None:
        await cache.delete(f"item:{key}")
        await read(key)

    return Cache(read, change)


async def cachekit(port: int, database: Path) -> Cache:
    os.environ["CACHEKIT_REDIS_URL"] = f"redis://127.0.0.1:{port}"
    os.environ["CACHEKIT_INVALIDATION_LISTENER_ENABLED"] = "true"
    from cachekit import cache

    @cache(ttl=LIFETIME)
    async def item(key: str) -> int:
        return version(database)

    async def read(key: str) -> int:
        found: int = await item(key)
        return found

    async def change(key: str) -> None:
        await item.ainvalidate_cache(key)
        await read(key)

    return Cache(read, change)


async def zoocache(port: int, database: Path, *, stored_in_redis: bool = False) -> Cache:
    from zoocache import add_deps, cacheable, configure, invalidate_async

    url = f"redis://127.0.0.1:{port}"
    storage = url if stored_in_redis else None
    configure(storage_url=storage, bus_url=url, prefix="race", default_ttl=LIFETIME)

    @cacheable()
    async def item(key: str) -> int:
        add_deps([f"item:{key}"])
        return version(database)

    async def read(key: str) -> int:
        found: int = await item(key)
        return found

    async def change(key: str) -> None:
        await invalidate_async(f"item:{key}")
        await read(key)

    return Cache(read, change)


async def zoocache_on_redis(port: int, database: Path) -> Cache:
    return await zoocache(port, database, stored_in_redis=True)


@dataclass
class Library:
    label: str
    #: Its name on PyPI.
    distribution: str
    #: How it is set up, in Markdown.
    setup: str
    open: Callable[[int, Path], Awaitable[Cache]]


LIBRARIES = [
    Library("hotshelf, near tier", "hotshelf", "`CacheManager(url, near=True)`", hotshelf_near),
    Library("hotshelf", "hotshelf", "`CacheManager(url)`", hotshelf),
    Library("redis-py", "redis", "`Redis(protocol=3, cache_config=CacheConfig())`", redis_py),
    Library(
        "valkey-glide", "valkey-glide", "`ClientSideCache`, `server_assisted=True`", valkey_glide
    ),
    Library("coredis", "coredis", "`Redis(cache=LRUCache())`", coredis),
    Library("cashews", "cashews", "`cache.setup(url, client_side=True, protocol=2)`", cashews),
    Library("cachekit", "cachekit", "`@cache` and its invalidation listener", cachekit),
    Library("zoocache in memory", "zoocache", "`configure(bus_url=url)`", zoocache),
    Library(
        "zoocache on Redis",
        "zoocache",
        "`configure(storage_url=url, bus_url=url)`",
        zoocache_on_redis,
    ),
]
