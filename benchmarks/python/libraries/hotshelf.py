"""hotshelf on asyncio: its decorator, its services, and parts of their work."""

from __future__ import annotations

from typing import Any

from products import Product
from subjects import NAMESPACE, TTL, Calls, Source, Subject


def manager(port: int, **options: Any) -> Any:
    from hotshelf import CacheManager

    # Long timeouts, since other processes may occupy the cores and outages are not measured.
    url = f"redis://127.0.0.1:{port}"
    return CacheManager(url, read_timeout=10, connect_timeout=10, **options)


def memory() -> Any:
    from hotshelf import CacheManager

    return CacheManager("memory://")


def decorated(cache: Any, source: Source) -> Calls:
    @cache.cached(ttl=TTL, backend_budget=10)
    async def get(name: str) -> Product:
        return source.make()

    return Calls(get)


def service(cache: Any) -> Any:
    return cache.service(NAMESPACE, Product, ttl=TTL, backend_budget=10)


def loading(cache: Any, source: Source) -> Calls:
    products = service(cache)
    return Calls(lambda name: products.get_or_set(name, source.load))


def reading(cache: Any, source: Source) -> Calls:
    products = service(cache)
    return Calls(products.get, lambda name: products.set(name, source.product))


async def redis_cached(port: int, source: Source) -> Calls:
    return decorated(manager(port), source)


async def redis_get_or_set(port: int, source: Source) -> Calls:
    return loading(manager(port), source)


async def redis_get(port: int, source: Source) -> Calls:
    return reading(manager(port), source)


class Undecoded:
    """A codec that returns the bytes of values unchanged."""

    name = "bytes"
    null = None

    def decode(self, raw: bytes) -> bytes:
        return raw


async def undecoded(port: int, source: Source) -> Calls:
    """`get_or_set` without pydantic."""
    products, writer = service(manager(port)), service(manager(port))
    products._codec = Undecoded()
    return Calls(
        lambda name: products.get_or_set(name, source.load),
        lambda name: writer.set(name, source.product),
    )


async def bare(port: int, source: Source) -> Calls:
    """The engine's read, without the typed cache in Python."""
    products = service(manager(port))

    async def read(name: str) -> Any:
        return await products._core.read(name, None).future

    return Calls(read, lambda name: products.set(name, source.product))


async def command(port: int, source: Source) -> Calls:
    """`GET` by hotshelf's own client, without the engine."""
    from hotshelf import _hotshelf

    client = _hotshelf.Client(manager(port).store)

    async def read(name: str) -> Any:
        return await client.command([b"GET", name.encode()]).future

    async def write(name: str) -> None:
        value = source.product.model_dump_json().encode()
        await client.command([b"SET", name.encode(), value]).future

    return Calls(read, write)


async def memory_cached(_: int, source: Source) -> Calls:
    return decorated(memory(), source)


async def memory_get_or_set(_: int, source: Source) -> Calls:
    return loading(memory(), source)


async def memory_get(_: int, source: Source) -> Calls:
    return reading(memory(), source)


async def near_cached(port: int, source: Source) -> Calls:
    return decorated(manager(port, near=True), source)


async def near_get_or_set(port: int, source: Source) -> Calls:
    return loading(manager(port, near=True), source)


async def near_get(port: int, source: Source) -> Calls:
    return reading(manager(port, near=True), source)


REDIS = [
    Subject("hotshelf @cached", "hotshelf", redis_cached, "hotshelf"),
    Subject("hotshelf get_or_set", "hotshelf", redis_get_or_set, "hotshelf"),
    Subject("hotshelf get", "hotshelf", redis_get, "part"),
    Subject("hotshelf undecoded", "hotshelf", undecoded, "part"),
    Subject("hotshelf bare", "hotshelf", bare, "part"),
    Subject("hotshelf command", "hotshelf", command, "part"),
]
MEMORY = [
    Subject("hotshelf @cached", "hotshelf", memory_cached, "hotshelf"),
    Subject("hotshelf get_or_set", "hotshelf", memory_get_or_set, "hotshelf"),
    Subject("hotshelf get", "hotshelf", memory_get, "part"),
]
NEAR = [
    Subject("hotshelf near @cached", "hotshelf", near_cached, "hotshelf"),
    Subject("hotshelf near get_or_set", "hotshelf", near_get_or_set, "hotshelf"),
    Subject("hotshelf near get", "hotshelf", near_get, "part"),
]
