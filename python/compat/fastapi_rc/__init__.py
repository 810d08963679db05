"""fastapi-rc's API on hotshelf, with the same import.

    from fastapi_rc import CacheService, RedisClient, cachemanager

`docs/migrating-from-fastapi-rc.md` in hotshelf's repository lists the differences.
"""

from fastapi_rc.client import CacheManager, cachemanager
from fastapi_rc.dependencies import (
    CacheServiceDep,
    RedisClient,
    get_cache_service,
    get_redis_client,
)
from fastapi_rc.keys import build_cache_key, get_ttl_with_jitter, invalidate_pattern
from fastapi_rc.service import CacheService

__version__ = "0.1.0"

__all__ = [
    "CacheManager",
    "CacheService",
    "CacheServiceDep",
    "RedisClient",
    "build_cache_key",
    "cachemanager",
    "get_cache_service",
    "get_redis_client",
    "get_ttl_with_jitter",
    "invalidate_pattern",
]
