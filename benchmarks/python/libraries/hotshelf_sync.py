"""hotshelf without an event loop."""

from __future__ import annotations

from typing import Any

from products import Product
from subjects import NAMESPACE, TTL, Calls, Source, Subject


def manager(port: int) -> Any:
    from hotshelf.sync import CacheManager

    # Long timeouts, since other processes may occupy the cores and outages are not measured.
    return CacheManager(f"redis://127.0.0.1:{port}", read_timeout=10, connect_timeout=10)


def memory() -> Any:
    from hotshelf.sync import CacheManager

    return CacheManager("memory://")


def decorated(cache: Any, source: Source) -> Calls:
    @cache.cached(ttl=TTL, backend_budget=10)
    def get(name: str) -> Product:
        return source.make()

    return Calls(get)


def loading(cache: Any, source: Source) -> Calls:
    products = cache.service(NAMESPACE, Product, ttl=TTL, backend_budget=10)
    return Calls(lambda name: products.get_or_set(name, source.make))


def redis_cached(port: int, source: Source) -> Calls:
    return decorated(manager(port), source)


def redis_get_or_set(port: int, source: Source) -> Calls:
    return loading(manager(port), source)


def memory_cached(_: int, source: Source) -> Calls:
    return decorated(memory(), source)


def memory_get_or_set(_: int, source: Source) -> Calls:
    return loading(memory(), source)


REDIS = [
    Subject("hotshelf.sync @cached", "hotshelf", redis_cached, "hotshelf"),
    Subject("hotshelf.sync get_or_set", "hotshelf", redis_get_or_set, "hotshelf"),
]
MEMORY = [
    Subject("hotshelf.sync @cached", "hotshelf", memory_cached, "hotshelf"),
    Subject("hotshelf.sync get_or_set", "hotshelf", memory_get_or_set, "hotshelf"),
]
