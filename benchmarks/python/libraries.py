"""The measured libraries: each function returns `Calls` on the server at a port.

Libraries are imported where they are used, since not all are in one environment.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from products import Product

#: More connections than there are callers: with fewer, fastapi-rc computes instead of reading.
CONNECTIONS = 1024

NAMESPACE = "products"
TTL = 300

Factory = Callable[[], Awaitable[Product]]


@dataclass
class Calls:
    """The calls of a library."""

    #: Reads an existing entry.
    read: Callable[[str], Awaitable[Any]]
    #: Writes an entry.
    write: Callable[[str, Product], Awaitable[Any]]
    #: Reads an entry or creates it; `None` if the library cannot.
    load: Callable[[str, Factory], Awaitable[Any]] | None = None


def unused() -> Awaitable[Product]:
    """Is the factory of existing entries, which is never called."""
    raise AssertionError("the entry is missing")


def hotshelf(port: int) -> Any:
    from hotshelf import CacheManager, CacheService

    # Long timeouts, since other processes may occupy the cores and outages are not measured.
    manager = CacheManager(f"redis://127.0.0.1:{port}", read_timeout=10, connect_timeout=10)
    return CacheService(manager, NAMESPACE, Product, ttl=TTL, backend_budget=10)


async def hotshelf_get_or_set(port: int) -> Calls:
    service = hotshelf(port)
    return Calls(lambda key: service.get_or_set(key, unused), service.set, service.get_or_set)


class Undecoded:
    """A codec that returns the bytes of values unchanged."""

    name = "bytes"

    def decode(self, raw: bytes) -> bytes:
        return raw


async def hotshelf_undecoded(port: int) -> Calls:
    """`get_or_set` without pydantic."""
    service, writer = hotshelf(port), hotshelf(port)
    service._codec = Undecoded()
    return Calls(lambda key: service.get_or_set(key, unused), writer.set)


async def hotshelf_get(port: int) -> Calls:
    service = hotshelf(port)
    return Calls(service.get, service.set)


async def hotshelf_bare(port: int) -> Calls:
    """The engine's read, without the typed cache in Python."""
    service = hotshelf(port)

    async def read(key: str) -> Any:
        return await service._core.read(key, None).future

    return Calls(read, service.set)


async def hotshelf_command(port: int) -> Calls:
    """`GET` by hotshelf's own client, without the engine."""
    from hotshelf import _hotshelf

    service = hotshelf(port)
    client = _hotshelf.Client(service._manager.store)

    async def read(key: str) -> Any:
        return await client.command([b"GET", key.encode()]).future

    async def write(key: str, product: Product) -> None:
        await client.command([b"SET", key.encode(), product.model_dump_json().encode()]).future

    return Calls(read, write)


async def fastapi_rc(port: int) -> Calls:
    from fastapi_rc import CacheManager, CacheService

    manager = CacheManager()
    manager.init(f"redis://127.0.0.1:{port}", max_connections=CONNECTIONS)
    service = CacheService(manager.client, NAMESPACE, Product, TTL)
    return Calls(lambda key: service.get_or_set(key, unused), service.set, service.get_or_set)


def redis_client(port: int) -> Any:
    from redis.asyncio import Redis

    return Redis(port=port, max_connections=CONNECTIONS)


async def redis_raw(port: int) -> Calls:
    client = redis_client(port)

    async def write(key: str, product: Product) -> None:
        await client.set(key, product.model_dump_json())

    return Calls(client.get, write)


async def redis_typed(port: int) -> Calls:
    """A typed cache written by hand."""
    client = redis_client(port)

    async def read(key: str) -> Product:
        return Product.model_validate_json(await client.get(f"{NAMESPACE}:{key}"))

    async def write(key: str, product: Product) -> None:
        await client.set(f"{NAMESPACE}:{key}", product.model_dump_json(), ex=TTL)

    async def load(key: str, factory: Factory) -> Product:
        found = await client.get(f"{NAMESPACE}:{key}")
        if found is not None:
            return Product.model_validate_json(found)
        made = await factory()
        await write(key, made)
        return made

    return Calls(read, write, load)


async def glide_raw(port: int) -> Calls:
    from glide import GlideClient, GlideClientConfiguration, NodeAddress

    address = NodeAddress("127.0.0.1", port)
    client = await GlideClient.create(
        GlideClientConfiguration([address], request_timeout=10_000)
    )

    async def write(key: str, product: Product) -> None:
        await client.set(key, product.model_dump_json())

    return Calls(client.get, write)


LIBRARIES: dict[str, Callable[[int], Awaitable[Calls]]] = {
    "hotshelf get_or_set": hotshelf_get_or_set,
    "hotshelf get": hotshelf_get,
    "hotshelf undecoded": hotshelf_undecoded,
    "hotshelf bare": hotshelf_bare,
    "hotshelf command": hotshelf_command,
    "fastapi-rc get_or_set": fastapi_rc,
    "redis-py by hand": redis_typed,
    "redis-py raw GET": redis_raw,
    "valkey-glide raw GET": glide_raw,
}


def is_product(value: Any) -> bool:
    """Returns whether a value is the product, typed or not."""
    if isinstance(value, (str, bytes)):
        value = Product.model_validate(json.loads(value))
    return isinstance(value, Product) and value.id == "4711"
