"""Dependencies for FastAPI."""

from typing import Annotated, Any

from fastapi import Depends, Request

import hotshelf
from fastapi_rc._spelling import accept_bare_depends
from fastapi_rc.client import cachemanager
from fastapi_rc.service import CacheService


async def get_redis_client(request: Request) -> Any:
    """Returns the raw client.

    If the cache is disabled (`init(None)`), services can still be created with it, and run
    their factories; its own commands raise a `RuntimeError`.

    Raises:
        RuntimeError: If `cachemanager` was never initialized, or is closed.
    """
    return cachemanager.client


_redis = Depends(get_redis_client)

#: The raw client. `redis: RedisClient` and `redis: RedisClient = Depends()` are equivalent.
RedisClient = Annotated[hotshelf.RedisClient, _redis]


async def get_cache_service(redis: RedisClient) -> CacheService[Any]:
    """Returns a cache of plain JSON in the namespace `default`."""
    return CacheService(redis, namespace="default")


_service = Depends(get_cache_service)

#: A cache of plain JSON in the namespace `default`.
CacheServiceDep = Annotated[CacheService[Any], _service]

accept_bare_depends(_redis, _service)
