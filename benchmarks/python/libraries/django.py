"""Django's cache on Redis, without the rest of Django.

It stores pickles, unless its option `serializer` names another.
"""

from __future__ import annotations

from typing import Any

from products import Product
from subjects import NAMESPACE, TTL, Calls, Source, Subject


class ProductSerializer:
    def dumps(self, value: Product) -> str:
        return value.model_dump_json()

    def loads(self, value: bytes) -> Product:
        return Product.model_validate_json(value)


def get_or_set(port: int, source: Source, **options: Any) -> Calls:
    from django.conf import settings

    backend = "django.core.cache.backends.redis.RedisCache"
    location = f"redis://127.0.0.1:{port}"
    settings.configure(
        CACHES={"default": {"BACKEND": backend, "LOCATION": location, "OPTIONS": options}}
    )
    from django.core.cache import cache

    return Calls(lambda name: cache.get_or_set(f"{NAMESPACE}:{name}", source.make, TTL))


def pickled(port: int, source: Source) -> Calls:
    return get_or_set(port, source)


def own(port: int, source: Source) -> Calls:
    return get_or_set(port, source, serializer=ProductSerializer)


SYNC_REDIS = [
    Subject("Django, pickle", "django", pickled),
    Subject("Django, JSON", "django", own),
]
