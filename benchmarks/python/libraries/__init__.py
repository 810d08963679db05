"""The measured libraries: one module for each, and the tables of their calls.

A module imports its library where it is used: each has an environment of its own, but the
benchmark reads the tables in that of hotshelf.
"""

from libraries import (
    aiocache,
    cachebox,
    cachetools,
    cashews,
    django,
    fastapi_cache2,
    fastapi_rc,
    fastapi_redis_sdk,
    hotshelf,
    hotshelf_sync,
    redis_py,
    standard,
    valkey_glide,
)
from subjects import Subject

#: The subjects of each table.
TABLES: dict[str, list[Subject]] = {
    "redis": [
        *hotshelf.REDIS,
        *fastapi_rc.REDIS,
        *cashews.REDIS,
        *aiocache.REDIS,
        *fastapi_cache2.REDIS,
        *fastapi_redis_sdk.REDIS,
        *redis_py.REDIS,
        *valkey_glide.REDIS,
    ],
    "memory": [
        *standard.MEMORY,
        *hotshelf.MEMORY,
        *cachebox.MEMORY,
        *cashews.MEMORY,
        *aiocache.MEMORY,
        *fastapi_cache2.MEMORY,
    ],
    "near": [*hotshelf.NEAR, *cashews.NEAR],
    "sync redis": [*hotshelf_sync.REDIS, *redis_py.SYNC_REDIS, *django.SYNC_REDIS],
    "sync memory": [
        *standard.SYNC_MEMORY,
        *hotshelf_sync.MEMORY,
        *cachetools.SYNC_MEMORY,
        *cachebox.SYNC_MEMORY,
    ],
}


def subject(table: str, name: str) -> Subject:
    """Returns a subject of a table."""
    return next(subject for subject in TABLES[table] if subject.name == name)
