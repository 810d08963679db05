"""fastapi-rc."""

from __future__ import annotations

from products import Product
from subjects import CONNECTIONS, NAMESPACE, TTL, Calls, Source, Subject


async def get_or_set(port: int, source: Source) -> Calls:
    from fastapi_rc import CacheManager, CacheService

    manager = CacheManager()
    manager.init(f"redis://127.0.0.1:{port}", max_connections=CONNECTIONS)
    products = CacheService(manager.client, NAMESPACE, Product, TTL)
    return Calls(lambda name: products.get_or_set(name, source.load))


REDIS = [Subject("fastapi-rc get_or_set", "fastapi-rc", get_or_set)]
