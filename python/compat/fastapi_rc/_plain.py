"""A plain cache-aside on any client, for tests with a fake client."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast

from fastapi_rc._engine import View
from hotshelf import Codec, build_cache_key, escape_pattern, get_ttl_with_jitter

logger = logging.getLogger("fastapi_rc")

T = TypeVar("T")

_MISSING: Any = object()


class PlainCache(Generic[T]):
    """Reads and writes bare JSON with the commands of the client.

    It returns the same values as a cache of hotshelf, without its guarantees: each caller runs
    its own factory, entries carry no tags, and a load is stored even if an invalidation
    happened meanwhile.
    """

    def __init__(self, redis: Any, view: View) -> None:
        self._redis = redis
        self._view = view
        self._codec: Codec[T] = Codec.of(view.model)

    async def get(self, identifier: str, params: Any = None) -> T | None:
        value = await self._read(identifier, params)
        return None if value is _MISSING else cast("T", value)

    async def get_or_set(
        self,
        identifier: str,
        factory: Any,
        ttl: float | timedelta | None = None,
        params: Any = None,
        *,
        tags: Sequence[str] = (),
        negative_ttl: float | timedelta | None = None,
        reload: bool = False,
    ) -> T:
        found = _MISSING if reload else await self._read(identifier, params)
        if found is not _MISSING:
            return cast("T", found)
        made = factory()
        value = await made if inspect.isawaitable(made) else made
        if value is None:
            options = dict(self._view.options)
            negative = options.get("negative_ttl") if negative_ttl is None else negative_ttl
            ttl = ttl if negative is None else negative
            if negative is not None and not _seconds(negative) > 0:
                return cast("T", None)
        value, _ = await self._store(identifier, value, ttl, params)
        return value

    async def set(
        self,
        identifier: str,
        value: Any,
        ttl: float | timedelta | None = None,
        params: Any = None,
        *,
        tags: Sequence[str] = (),
    ) -> bool:
        _, stored = await self._store(identifier, value, ttl, params)
        return stored

    async def _store(
        self, identifier: str, value: Any, ttl: float | timedelta | None, params: Any
    ) -> tuple[T, bool]:
        """Stores a value, and returns it as a hit would, and whether it was stored. A value
        without a JSON form is returned unchanged."""
        try:
            value, raw = self._codec.prepare(value)
            await self._redis.set(self._key(identifier, params), raw.decode(), **self._expiry(ttl))
        except Exception as error:
            # The text of an exception of the client may contain the value.
            shown = isinstance(error, TypeError | ValueError)
            reason = str(error) if shown else type(error).__name__
            logger.error("cache: writing %s failed: %s", self._view.namespace, reason)
            return cast("T", value), False
        return cast("T", value), True

    async def delete(self, identifier: str, params: Any = None) -> bool:
        try:
            await self._redis.delete(self._key(identifier, params))
        except Exception as error:
            logger.error("cache: deleting from %s failed: %s", self._view.namespace, error)
            return False
        return True

    async def exists(self, identifier: str, params: Any = None) -> bool:
        try:
            return bool(await self._redis.exists(self._key(identifier, params)) > 0)
        except Exception as error:
            logger.warning("cache: reading %s failed: %s", self._view.namespace, error)
            return False

    async def get_ttl(self, identifier: str, params: Any = None) -> int:
        try:
            return int(await self._redis.ttl(self._key(identifier, params)))
        except Exception as error:
            logger.warning("cache: reading %s failed: %s", self._view.namespace, error)
            return -2

    async def invalidate_pattern(self, pattern: str = "*", *, anywhere: bool = True) -> int:
        removed = 0
        try:
            prefix = escape_pattern(self._key("", None))
            async for key in self._redis.scan_iter(match=prefix + pattern):
                removed += int(await self._redis.delete(key))
        except Exception as error:
            logger.error("cache: invalidating %s failed: %s", self._view.namespace, error)
        return removed

    async def _read(self, identifier: str, params: Any) -> Any:
        try:
            raw = await self._redis.get(self._key(identifier, params))
            if raw is None:
                return _MISSING
            raw = raw.encode() if isinstance(raw, str) else raw
            return None if raw.strip() == b"null" else self._codec.decode(raw)
        except Exception as error:
            logger.warning("cache: reading %s failed: %s", self._view.namespace, error)
            return _MISSING

    def _key(self, identifier: str, params: Any) -> str:
        view = self._view
        return build_cache_key(
            view.namespace, str(identifier), params, prefix=view.prefix, version=view.version
        )

    def _expiry(self, ttl: float | timedelta | None) -> dict[str, int]:
        """Returns the expiry as an option of `SET`, with jitter for whole seconds only."""
        lifetime = _seconds(self._view.default_ttl if ttl is None else ttl)
        if not lifetime.is_integer():
            return {"px": round(lifetime * 1000)}
        whole = int(lifetime)
        return {"ex": get_ttl_with_jitter(whole) if self._view.use_jitter else whole}


def _seconds(ttl: float | timedelta) -> float:
    return ttl.total_seconds() if isinstance(ttl, timedelta) else float(ttl)
