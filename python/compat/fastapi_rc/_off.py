"""The replacement of a cache with invalid options."""

from __future__ import annotations

import inspect
import logging
from typing import Any, Generic, TypeVar, cast

logger = logging.getLogger("fastapi_rc")

T = TypeVar("T")


class OffCache(Generic[T]):
    """Runs factories. Everything else does nothing, and writes and invalidations return
    `False`."""

    def __init__(self, namespace: Any, reason: Exception) -> None:
        self.reason = reason
        logger.error("cache: %s is off, factories run uncached: %s", namespace, reason)

    async def get(self, identifier: str, params: Any = None) -> T | None:
        return None

    async def get_or_set(self, identifier: str, factory: Any, *_: Any, **options: Any) -> T:
        made = factory()
        return cast("T", await made if inspect.isawaitable(made) else made)

    async def set(self, identifier: str, value: Any, *_: Any, **options: Any) -> bool:
        return False

    async def delete(self, identifier: str, params: Any = None) -> bool:
        return False

    async def exists(self, identifier: str, params: Any = None) -> bool:
        return False

    async def get_ttl(self, identifier: str, params: Any = None) -> int:
        return -2

    async def invalidate_pattern(self, pattern: str = "*", *, anywhere: bool = True) -> int:
        return 0
