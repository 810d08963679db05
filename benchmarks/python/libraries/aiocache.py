"""aiocache: its decorator, in memory and on Redis.

Its JSON serializer doesn't know models: it stores pickles, or what a serializer of one's own makes.
"""

from __future__ import annotations

from typing import Any

from products import Product
from subjects import CONNECTIONS, NAMESPACE, TTL, Calls, Source, Subject


def decorated(source: Source, **options: Any) -> Calls:
    from aiocache import cached

    @cached(ttl=TTL, namespace=NAMESPACE, **options)
    async def get(name: str) -> Product:
        return source.make()

    return Calls(get)


def on_redis(port: int, source: Source, serializer: Any) -> Calls:
    from aiocache import Cache

    return decorated(
        source, cache=Cache.REDIS, port=port, pool_max_size=CONNECTIONS, serializer=serializer
    )


async def pickled(port: int, source: Source) -> Calls:
    from aiocache.serializers import PickleSerializer

    return on_redis(port, source, PickleSerializer())


async def own(port: int, source: Source) -> Calls:
    from aiocache.serializers import BaseSerializer

    class ProductSerializer(BaseSerializer):
        DEFAULT_ENCODING = None

        def dumps(self, value: Product) -> str:
            return value.model_dump_json()

        def loads(self, value: bytes | None) -> Product | None:
            return None if value is None else Product.model_validate_json(value)

    return on_redis(port, source, ProductSerializer())


async def memory(_: int, source: Source) -> Calls:
    return decorated(source)


REDIS = [
    Subject("aiocache, pickle", "aiocache", pickled),
    Subject("aiocache, JSON", "aiocache", own),
]
MEMORY = [Subject("aiocache", "aiocache", memory)]
