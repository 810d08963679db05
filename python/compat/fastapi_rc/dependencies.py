"""Dependencies for FastAPI."""

from typing import Annotated, Any

from fastapi import Depends, Request

import hotshelf
from fastapi_rc._spelling import accept_bare_depends
from fastapi_rc.client import cachemanager
from fastapi_rc.service import CacheService


async def get_redis_client(request: Request) -> Any:
    """Gives the raw client.

    Where the cache is disabled (`init(None)`), it gives a client that services can be made
    on: their factories run. Its own commands raise a `RuntimeError` then.

    Raises:
        RuntimeError: If `cachemanager` was never initialized, or is closed.
    """
    return cachemanager.client


_redis = Depends(get_redis_client)

#: The raw client; `redis: RedisClient` and `redis: RedisClient = Depends()` say the same.
RedisClient = Annotated[hotshelf.RedisClient, _redis]


async def get_cache_service(redis: RedisClient) -> CacheService[Any]:
    """Gives a cache of the namespace `default`, of plain JSON."""
    return CacheService(redis, namespace="default")


_service = Depends(get_cache_service)

#: A cache of the namespace `default`, of plain JSON.
CacheServiceDep = Annotated[CacheService[Any], _service]

accept_bare_depends(_redis, _service)
